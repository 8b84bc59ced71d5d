"use strict";
// A small ConvNet and its training, in plain JavaScript: two blocks of 3x3 convolution, instance normalisation, ReLU
// and 2x2 average pooling, then a linear head: the library's `convnet2` of width 16, in double precision.
// An array of activations is [channels][images][pixels], all in one row. All of it stands in one function, so that
// its text can become a worker: a page that was opened from a disk may not load one from a file.

function watchNet() {
  const SIDE = 8, CLASSES = 10, WIDTH = 16, EPS = 1e-5;
  const STEPS = 150, BATCH = 32, RATE = .05, MOMENTUM = .9, LOOK = 10;    // the recipe of the page
  const FEATURES = WIDTH*(SIDE/4)**2;

  // Numbers from 0 to 1, always the same ones after the same seed ("mulberry32").
  function generator(seed) {
    let a = seed >>> 0;
    return () => {
      a = (a + 0x6D2B79F5) >>> 0;
      let t = Math.imul(a ^ a >>> 15, a | 1);
      t ^= t + Math.imul(t ^ t >>> 7, t | 61);
      return ((t ^ t >>> 14) >>> 0)/4294967296;
    };
  }

  // Weights as torch draws them: uniform, up to one over the square root of a unit's inputs; norms begin as 1 and 0.
  function weights(random) {
    const uniform = (n, inputs) => Float64Array.from({length: n}, () => (2*random() - 1)/Math.sqrt(inputs));
    const block = c => [uniform(WIDTH*c*9, c*9), uniform(WIDTH, c*9), new Float64Array(WIDTH).fill(1),
      new Float64Array(WIDTH)];
    return [...block(1), ...block(WIDTH), uniform(CLASSES*FEATURES, FEATURES), uniform(CLASSES, FEATURES)];
  }

  // ---- matrices: three products, each adding to c; several rows at a time, which is twice as fast ----

  function product(a, b, c, m, k, n) {                        // c[m,n] += a[m,k] b[k,n]
    const two = m - m%2, four = k - k%4;
    for (let i = 0; i < two; i += 2) for (let j = 0; j < four; j += 4) {
      const x = i*k + j, y = x + k, at = i*n, q = j*n;
      const a0 = a[x], a1 = a[x + 1], a2 = a[x + 2], a3 = a[x + 3];
      const b0 = a[y], b1 = a[y + 1], b2 = a[y + 2], b3 = a[y + 3];
      for (let p = 0; p < n; p++) {
        const e = b[q + p], f = b[q + n + p], g = b[q + 2*n + p], h = b[q + 3*n + p];
        c[at + p] += a0*e + a1*f + a2*g + a3*h;
        c[at + n + p] += b0*e + b1*f + b2*g + b3*h;
      }
    }
    for (let i = 0; i < m; i++) for (let j = i < two ? four : 0; j < k; j++)      // what is left over
      for (let p = 0, v = a[i*k + j], at = i*n, q = j*n; p < n; p++) c[at + p] += v*b[q + p];
  }
  function productOfRows(a, b, c, m, n, k) {                  // c[m,n] += a[m,k] b[n,k]'
    for (let j = 0; j < n; j++) {
      let i = 0;
      for (; i + 3 < m; i += 4) {
        let e = 0, f = 0, g = 0, h = 0;
        for (let p = 0, x = i*k, y = j*k; p < k; p++, x++, y++) {
          const v = b[y];
          e += a[x]*v; f += a[x + k]*v; g += a[x + 2*k]*v; h += a[x + 3*k]*v;
        }
        c[i*n + j] += e; c[(i + 1)*n + j] += f; c[(i + 2)*n + j] += g; c[(i + 3)*n + j] += h;
      }
      for (; i < m; i++) {
        let e = 0;
        for (let p = 0, x = i*k, y = j*k; p < k; p++, x++, y++) e += a[x]*b[y];
        c[i*n + j] += e;
      }
    }
  }
  function productOfColumns(a, b, c, m, k, n) {               // c[k,n] += a[m,k]' b[m,n]
    const turned = new Float64Array(m*k);
    for (let i = 0; i < m; i++) for (let j = 0; j < k; j++) turned[j*m + i] = a[i*k + j];
    product(turned, b, c, k, m, n);
  }
  const sum = (x, from, n) => {
    let s = 0;
    for (let p = from; p < from + n; p++) s += x[p];
    return s;
  };

  // ---- layers: each returns its result, and the way back from the result's gradient to its input's ----

  // Every pixel's 3x3 surroundings as columns [c*9][images*pixels], zeros beyond the edge; or from the columns back.
  function around(x, columns, c, n, side, back) {
    const area = side*side, row = n*area;
    for (let ch = 0; ch < c; ch++) for (let k = 0; k < 9; k++) {
      const dy = (k/3 | 0) - 1, dx = k%3 - 1, away = dy*side + dx, at = (ch*9 + k)*row, from = ch*row;
      const top = Math.max(0, -dy), low = side - Math.max(0, dy);
      const left = Math.max(0, -dx), right = side - Math.max(0, dx);
      for (let i = 0; i < n; i++) for (let y = top; y < low; y++) {
        const here = i*area + y*side;
        if (back) for (let p = here + left; p < here + right; p++) x[from + p + away] += columns[at + p];
        else for (let p = here + left; p < here + right; p++) columns[at + p] = x[from + p + away];
      }
    }
  }
  function convolution(x, w, b, c, n, side) {
    const row = n*side*side, columns = new Float64Array(c*9*row), out = new Float64Array(WIDTH*row);
    around(x, columns, c, n, side, false);
    for (let o = 0; o < WIDTH; o++) out.fill(b[o], o*row, (o + 1)*row);
    product(w, columns, out, WIDTH, c*9, row);
    return [out, (d, dw, db) => {
      productOfRows(d, columns, dw, WIDTH, c*9, row);
      for (let o = 0; o < WIDTH; o++) db[o] += sum(d, o*row, row);
      const dx = new Float64Array(c*row);
      if (c > 1) {                                            // nobody asks for the images' own gradient
        columns.fill(0);
        productOfColumns(w, d, columns, WIDTH, c*9, row);
        around(dx, columns, c, n, side, true);
      }
      return dx;
    }];
  }
  function instanceNorm(x, scale, shift, n, area) {
    const out = new Float64Array(x.length), normal = new Float64Array(x.length), inverse = new Float64Array(WIDTH*n);
    for (let c = 0; c < WIDTH; c++) for (let i = 0; i < n; i++) {
      const from = (c*n + i)*area, mean = sum(x, from, area)/area;
      let v = 0;
      for (let p = from; p < from + area; p++) v += (x[p] - mean)**2;
      const r = inverse[c*n + i] = 1/Math.sqrt(v/area + EPS);
      for (let p = from; p < from + area; p++) out[p] = (normal[p] = (x[p] - mean)*r)*scale[c] + shift[c];
    }
    return [out, (d, dscale, dshift) => {
      const dx = new Float64Array(x.length);
      for (let c = 0; c < WIDTH; c++) for (let i = 0; i < n; i++) {
        const from = (c*n + i)*area, s = sum(d, from, area);
        let t = 0;
        for (let p = from; p < from + area; p++) t += d[p]*normal[p];
        dshift[c] += s;
        dscale[c] += t;
        const f = scale[c]*inverse[c*n + i];
        for (let p = from; p < from + area; p++) dx[p] = f*(d[p] - s/area - normal[p]*t/area);
      }
      return dx;
    }];
  }
  function reluPool(x, n, side) {
    const half = side/2, out = new Float64Array(x.length/4), corner = new Int32Array(out.length);
    for (let i = 0, to = 0; i < WIDTH*n; i++) for (let y = 0; y < half; y++) for (let z = 0; z < half; z++, to++) {
      const p = corner[to] = i*side*side + 2*y*side + 2*z, q = p + side;
      out[to] = (Math.max(x[p], 0) + Math.max(x[p + 1], 0) + Math.max(x[q], 0) + Math.max(x[q + 1], 0))/4;
    }
    return [out, d => {
      const dx = new Float64Array(x.length);
      for (let k = 0; k < out.length; k++) for (const p of [0, 1, side, side + 1])
        if (x[corner[k] + p] > 0) dx[corner[k] + p] = d[k]/4;
      return dx;
    }];
  }
  function head(x, w, b, n) {                                 // x: [channels][images][4] -> [images][classes]
    const four = FEATURES/WIDTH, rows = new Float64Array(n*FEATURES), out = new Float64Array(n*CLASSES);
    const each = move => {
      for (let c = 0; c < WIDTH; c++) for (let i = 0; i < n; i++) for (let p = 0; p < four; p++)
        move((c*n + i)*four + p, i*FEATURES + c*four + p);
    };
    each((from, to) => { rows[to] = x[from]; });
    for (let i = 0; i < n; i++) out.set(b, i*CLASSES);
    productOfRows(rows, w, out, n, CLASSES, FEATURES);
    return [out, (d, dw, db) => {
      productOfColumns(d, rows, dw, n, CLASSES, FEATURES);
      for (let i = 0; i < n; i++) for (let k = 0; k < CLASSES; k++) db[k] += d[i*CLASSES + k];
      const drows = new Float64Array(rows.length), dx = new Float64Array(x.length);
      product(d, w, drows, n, CLASSES, FEATURES);
      each((to, from) => { dx[to] = drows[from]; });
      return dx;
    }];
  }

  // ---- the network ----

  // Logits [images][classes] of images [images][64], and the way back from their gradient to that of the weights.
  function forward(net, images) {
    const n = images.length/SIDE**2, back = [];
    const layer = ([out, way], ...of) => {
      back.unshift((d, grads) => way(d, ...of.map(k => grads[k])));
      return out;
    };
    let x = images, side = SIDE;
    for (let k = 0; k < 8; k += 4, side /= 2) {
      x = layer(convolution(x, net[k], net[k + 1], k ? WIDTH : 1, n, side), k, k + 1);
      x = layer(instanceNorm(x, net[k + 2], net[k + 3], n, side*side), k + 2, k + 3);
      x = layer(reluPool(x, n, side));
    }
    x = layer(head(x, net[8], net[9], n), 8, 9);
    return [x, (d, grads) => back.reduce((g, way) => way(g, grads), d)];
  }

  // Cross-entropy with labels [images][classes], rows of which sum to 1, and its gradient in the weights.
  function gradients(net, images, labels) {
    const [logits, back] = forward(net, images), n = logits.length/CLASSES, d = new Float64Array(logits.length);
    let loss = 0;
    for (let i = 0; i < n; i++) {
      const row = logits.subarray(i*CLASSES, (i + 1)*CLASSES), most = Math.max(...row);
      const all = row.reduce((s, z) => s + Math.exp(z - most), 0);
      for (let k = 0; k < CLASSES; k++) {
        const t = labels[i*CLASSES + k];
        loss -= t*(row[k] - most - Math.log(all))/n;
        d[i*CLASSES + k] = (Math.exp(row[k] - most)/all - t)/n;
      }
    }
    const grads = net.map(w => new Float64Array(w.length));
    back(d, grads);
    return [loss, grads];
  }

  // Percent of images whose largest logit is that of their class.
  function accuracy(net, images, classes) {
    const area = SIDE**2;
    let right = 0;
    for (let from = 0; from < classes.length; from += BATCH) {
      const some = classes.slice(from, from + BATCH);
      const [logits] = forward(net, images.subarray(from*area, (from + some.length)*area));
      some.forEach((c, i) => {
        const row = logits.subarray(i*CLASSES, (i + 1)*CLASSES);
        right += row.indexOf(Math.max(...row)) === c;
      });
    }
    return 100*right/classes.length;
  }

  // ---- training ----

  // The numbers of the images of each step: all, or BATCH of a fresh order.
  function* batches(n, random) {
    const order = Array.from({length: n}, (_, i) => i);
    if (n <= BATCH) for (;;) yield order;
    for (;;) {
      for (let i = n - 1; i > 0; i--) {
        const j = Math.floor(random()*(i + 1));
        [order[i], order[j]] = [order[j], order[i]];
      }
      for (let from = 0; from + BATCH <= n; from += BATCH) yield order.slice(from, from + BATCH);
    }
  }
  const rows = (x, chosen, width) => {
    const out = new Float64Array(chosen.length*width);
    chosen.forEach((i, k) => out.set(x.subarray(i*width, (i + 1)*width), k*width));
    return out;
  };

  // Momentum SGD, its rate falling in a line to zero; tells the step, the loss and the accuracy, now and then.
  function* training({images, labels, testImages, testClasses, seed}) {
    const random = generator(seed), net = weights(random), speed = net.map(w => new Float64Array(w.length));
    const choice = batches(images.length/SIDE**2, random);
    let loss = NaN;
    for (let step = 0; step <= STEPS; step++) {
      if (step%LOOK === 0) yield {step, loss, accuracy: accuracy(net, testImages, testClasses)};
      if (step === STEPS) return;
      const chosen = choice.next().value, rate = RATE*(1 - step/STEPS);
      let grads;
      [loss, grads] = gradients(net, rows(images, chosen, SIDE**2), rows(labels, chosen, CLASSES));
      net.forEach((w, k) => {
        for (let i = 0; i < w.length; i++) w[i] -= rate*(speed[k][i] = MOMENTUM*speed[k][i] + grads[k][i]);
      });
    }
  }

  // What the worker does: the networks of all seeds, side by side; a message whenever one has been tested.
  function work(job, tell) {
    const runs = job.seeds.map(seed => [seed, training({...job, seed})]), begin = Date.now();
    for (let going = true; going;) {
      going = false;
      for (const [seed, run] of runs) {
        const {value, done} = run.next();
        if (!done) going = tell({seed, ...value}) || true;
      }
    }
    tell({done: true, seconds: (Date.now() - begin)/1000});
  }

  return {SIDE, CLASSES, STEPS, generator, weights, forward, gradients, accuracy, batches, training, work};
}

if (typeof module !== "undefined") module.exports = watchNet;

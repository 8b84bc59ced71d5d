"use strict";
// The page: two sides, each a set of digits and three networks that train on it in a worker; their curves in one chart;
// a brush for one image. `watchSets` is what the library made (sets.js), `watchNet` the network (net.js).

(() => {
  const root = document.getElementById("watch"), net = watchNet(), {SIDE, CLASSES, STEPS} = net, AREA = SIDE**2;
  const SEEDS = [0, 1, 2], data = watchSets;
  const WORDS = {random: "random real digits", herding: "herding (real digits)", k_center: "k-center (real digits)",
    dc: "DC: gradients matched", dm: "DM: mean features matched", sre2l: "SRe2L: statistics matched",
    gvbsm: "G-VBSM: statistics of more networks", all: "all real digits"};

  // ---- sets, from text to numbers: pixels 0 (black) to 1 (white) ----

  const real = part => ({pixels: Float64Array.from(part.pixels, l => Math.round((l.charCodeAt(0) - 97)*255/16)/255),
    classes: Array.from(part.labels, Number)});
  const train = real(data.train), test = real(data.test);
  const bytes = text => Uint8Array.from(atob(text), c => c.charCodeAt(0));
  const hard = classes => {
    const out = new Float64Array(classes.length*CLASSES);
    classes.forEach((c, i) => { out[i*CLASSES + c] = 1; });
    return out;
  };
  const soft = text => {
    const b = bytes(text), out = Float64Array.from(b);
    for (let i = 0; i < out.length; i += CLASSES) {
      const all = b.subarray(i, i + CLASSES).reduce((s, v) => s + v, 0);
      for (let k = i; k < i + CLASSES; k++) out[k] /= all;
    }
    return out;
  };
  function open(s) {
    const pixels = s.images ? Float64Array.from(bytes(s.images), v => s.low + v/255*(s.high - s.low))
      : Float64Array.from(s.real.flatMap(i => [...train.pixels.subarray(i*AREA, (i + 1)*AREA)]));
    const classes = Array.from(s.labels, Number);
    return {pixels, classes, hard: hard(classes), soft: soft(s.soft), low: Math.min(0, s.low ?? 0),
      high: Math.max(1, s.high ?? 1)};
  }
  const everything = () => ({pixels: train.pixels.slice(), classes: train.classes, hard: hard(train.classes), low: 0,
    high: 1});
  const normal = pixels => pixels.map(v => (v - data.mean)/data.std);
  const testImages = normal(test.pixels);

  // ---- the page's parts ----

  function make(kind, about = {}, ...inside) {
    const e = kind.startsWith("svg:") ? document.createElementNS("http://www.w3.org/2000/svg", kind.slice(4))
      : document.createElement(kind);
    for (const [k, v] of Object.entries(about)) {
      if (k.startsWith("on")) e.addEventListener(k.slice(2), v);
      else e.setAttribute(k, v);
    }
    e.append(...inside);
    return e;
  }
  const select = (words, options, change) => {
    const s = make("select", {onchange: change}, ...options.map(([v, t]) => make("option", {value: v}, t)));
    return [make("label", {}, make("span", {}, words), s), s];
  };
  const say = (e, text) => { e.textContent = text; };
  const percent = v => v.toFixed(1) + " %";
  const mean = v => v.reduce((s, x) => s + x, 0)/v.length;

  // ---- pictures ----

  function draw(canvas, pixels, i, x, y) {
    const picture = new ImageData(SIDE, SIDE);
    for (let p = 0; p < AREA; p++) {
      const v = Math.round(255*Math.min(1, Math.max(0, pixels[i*AREA + p])));
      picture.data.set([v, v, v, 255], 4*p);
    }
    canvas.getContext("2d").putImageData(picture, x, y);
  }
  function shown(set) {                                      // the numbers of the images to show, at most ten a class
    const soFar = new Array(CLASSES).fill(0);
    return set.shown ??= set.classes.map((c, i) => soFar[c]++ < 10 ? i : -1).filter(i => i >= 0);
  }
  function wall(canvas, set, chosen) {                       // one column for each class
    const cell = SIDE + 2, context = canvas.getContext("2d"), next = new Array(CLASSES).fill(0), images = shown(set);
    set.places = images.map(i => [i, set.classes[i], next[set.classes[i]]++]);
    canvas.width = CLASSES*cell;
    canvas.height = Math.max(...next)*cell;
    for (const [i, c, r] of set.places) {
      if (i === chosen) {
        context.fillStyle = "#e8a000";
        context.fillRect(c*cell, r*cell, cell, cell);
      }
      draw(canvas, set.pixels, i, c*cell + 1, r*cell + 1);
    }
  }

  // ---- the chart ----

  const chart = (() => {
    const W = 640, H = 330, L = 52, R = 20, T = 14, B = 58;
    const x = s => L + (W - L - R)*s/STEPS, y = a => H - B - (H - T - B)*a/100;
    const lines = make("svg:g"), svg = make("svg:svg", {viewBox: `0 0 ${W} ${H}`, role: "img", class: "chart"});
    const title = make("svg:title", {}, "No network has been trained yet.");
    const word = (at, to, text, anchor) => make("svg:text", {x: at, y: to, "text-anchor": anchor}, text);
    svg.append(title);
    for (const a of [0, 20, 40, 60, 80, 100]) svg.append(
      make("svg:line", {x1: L, x2: W - R, y1: y(a), y2: y(a), class: "grid"}), word(L - 6, y(a) + 5, String(a), "end"));
    for (const s of [0, 50, 100, 150]) svg.append(word(x(s), H - B + 22, String(s), "middle"));
    svg.append(word((L + W - R)/2, H - 8, "steps of training", "middle"), lines);
    const at = p => x(p.step).toFixed(1) + " " + y(p.accuracy).toFixed(1);
    const path = points => points.length ? "M" + points.map(at).join("L") : "";
    const line = (points, kind) => make("svg:path", {d: path(points), class: kind});
    return {svg, show(sides) {
      lines.replaceChildren();
      for (const s of sides) {
        if (s.before) lines.append(line(middle(s.before), "before " + s.name));
        const all = s.curves ? Object.values(s.curves).filter(c => c.length) : [];
        for (const c of all) lines.append(line(c, "one " + s.name));
        if (all.length) lines.append(line(middle(s.curves), "mean " + s.name));
      }
      say(title, sides.filter(s => s.said).map(s => s.said).join(" ") || "No network has been trained yet.");
    }};
  })();
  const whole = curves => Object.values(curves).every(c => c.length && c.at(-1).step === STEPS);
  function middle(curves) {                                  // of the networks that have come as far
    const all = Object.values(curves), most = Math.min(...all.map(c => c.length));
    return Array.from({length: most}, (_, k) => ({step: all[0][k].step, accuracy: mean(all.map(c => c[k].accuracy))}));
  }

  // ---- one side ----

  function side(name, method) {
    const s = {name, painted: false};
    const order = Object.keys(WORDS).filter(k => k === "all" || data.sets.some(r => r.row === k));
    const [methods, m] = select("Method", order.map(k => [k, WORDS[k]]), choose);
    const [counts, n] = select("Images per class", [["1", "1"], ["10", "10"]], choose);
    const [labels, l] = select("Labels", [["hard", "hard: the class"], ["soft", "soft: a teacher's"]], choose);
    const [draws, d] = select("Draw", SEEDS.map(k => [k, `number ${k + 1}`]), choose);
    m.value = method;
    const canvas = make("canvas", {role: "img", class: "wall", onclick: pick});
    const score = make("output", {class: "score"}), button = make("button", {type: "button", onclick: go}, "Train");
    s.part = make("section", {class: "half " + name, "aria-label": "Side " + name.toUpperCase()},
      make("h3", {}, "Side " + name.toUpperCase()), make("div", {class: "pick"}, methods, counts, labels, draws),
      canvas, make("div", {class: "act"}, button, score));
    const found = () => data.sets.find(r => r.row === m.value && r.ipc === +n.value && r.seed === +d.value);

    function choose() {
      const there = (count, draw) => m.value === "all" || data.sets.some(r => r.row === m.value && r.ipc === +count
        && (draw === undefined || r.seed === +draw));
      for (const o of n.options) o.disabled = !there(o.value);
      if (!there(n.value)) n.value = "1";
      for (const o of d.options) o.disabled = !there(n.value, o.value);
      if (!there(n.value, d.value)) d.value = "0";
      n.disabled = d.disabled = m.value === "all";
      l.disabled = m.value === "all";
      if (m.value === "all") l.value = "hard";
      s.set = m.value === "all" ? everything() : open(found());
      s.painted = false;
      s.before = s.curves = s.said = null;
      stop();
      say(score, "");
      show();
      chart.show(sides);
      brush.look(s, 0);
    }
    function show() {
      wall(canvas, s.set, brush.of(s));
      const what = m.value === "all" ? `100 of ${train.classes.length} real digits`
        : `${s.set.classes.length} images of ten digits: ${WORDS[m.value]}`;
      canvas.setAttribute("aria-label", `Side ${name.toUpperCase()}: ${what}${s.painted ? ", painted on" : ""}`);
    }
    function pick(event) {
      const box = canvas.getBoundingClientRect(), cell = SIDE + 2;
      const c = Math.floor((event.clientX - box.left)/box.width*canvas.width/cell);
      const r = Math.floor((event.clientY - box.top)/box.height*canvas.height/cell);
      const place = s.set.places.find(p => p[1] === c && p[2] === r);
      if (place) brush.look(s, place[0]);
    }
    function stop() {
      if (s.worker) s.worker.terminate();
      s.worker = null;
      score.setAttribute("aria-busy", "false");
      say(button, s.painted ? "Train again" : "Train");
    }
    function go() {
      if (s.worker) return stop();
      s.curves = Object.fromEntries(SEEDS.map(k => [k, []]));
      s.said = null;
      s.worker = new Worker(program);
      s.worker.onmessage = ({data}) => hear(data);
      s.worker.onerror = e => { stop(); say(score, "It stopped: " + e.message); };
      s.worker.postMessage({images: normal(s.set.pixels), labels: s.set[l.value], testImages, testClasses: test.classes,
        seeds: SEEDS});
      say(button, "Stop");
      score.setAttribute("aria-busy", "true");              // readers of the screen are told the end, not every step
    }
    function hear(news) {
      if (!news.done) {
        s.curves[news.seed].push(news);
        const last = middle(s.curves).at(-1);
        if (last) say(score, `step ${last.step}: ${percent(last.accuracy)}`);
      } else {
        const ends = SEEDS.map(k => s.curves[k].at(-1).accuracy), was = s.before && middle(s.before).at(-1).accuracy;
        const now = `${percent(mean(ends))} of ${test.classes.length} test digits (${ends.map(percent).join(", ")})`;
        say(score, `${now} in ${news.seconds.toFixed(1)} s${was == null ? "" : `; before painting ${percent(was)}`}`);
        s.said = `Side ${name.toUpperCase()}, ${WORDS[m.value]}: ${now}.`;
        stop();
        root.dispatchEvent(new CustomEvent("trained", {detail: {name, method: m.value, ipc: +n.value, labels: l.value,
          draw: +d.value, curves: s.curves, seconds: news.seconds}}));
      }
      chart.show(sides);
    }
    return Object.assign(s, {choose, show, go, stop, touched() {
      if (!s.painted && s.curves && whole(s.curves)) s.before = s.curves;
      s.painted = true;
      stop();
      show();
    }});
  }

  // ---- the brush ----

  const brush = (() => {
    const b = {side: null, image: 0, pixel: 27}, CELL = 30;
    const canvas = make("canvas", {width: SIDE*CELL, height: SIDE*CELL, tabindex: 0, class: "large",
      role: "application", "aria-describedby": "watch-keys"});
    const ink = make("input", {type: "range", min: 0, max: 1, step: .05, value: 1, id: "watch-ink"});
    const value = make("input", {type: "range", step: .01, id: "watch-pixel"}), number = make("output", {});
    const [images, which] = select("Image", [], () => {
      const [name, i] = which.value.split(" ");
      b.look(sides.find(s => s.name === name), +i);
    });
    const head = make("h3", {}, "Paint"), always = make("input", {type: "checkbox"});
    const again = make("button", {type: "button", onclick: () => b.side.go()}, "Train again");
    const restore = make("button", {type: "button", onclick: put}, "Put it back");
    const part = make("section", {class: "brush", "aria-label": "Paint on an image"}, head,
      make("div", {class: "easel"}, canvas, make("div", {class: "pick"}, images,
        make("label", {}, make("span", {}, "Brush, black to white"), ink),
        make("label", {}, make("span", {}, "This pixel"), value, number),
        make("label", {class: "row"}, always, make("span", {}, "train again after every change")),
        make("div", {class: "act"}, again, restore))),
      make("p", {id: "watch-keys", class: "keys"}, "Draw with the mouse, a pen or a finger. With the keyboard: the "
        + "arrows move from pixel to pixel, the space bar paints, and the slider changes the pixel with the frame."));
    const at = () => b.image*AREA + b.pixel, place = () => `row ${(b.pixel/SIDE | 0) + 1}, column ${b.pixel%SIDE + 1}`;

    function show() {
      const context = canvas.getContext("2d"), {pixels} = b.side.set;
      for (let p = 0; p < AREA; p++) {
        const v = Math.round(255*Math.min(1, Math.max(0, pixels[b.image*AREA + p])));
        context.fillStyle = `rgb(${v},${v},${v})`;
        context.fillRect(p%SIDE*CELL, (p/SIDE | 0)*CELL, CELL, CELL);
      }
      context.strokeStyle = "#e8a000";
      context.lineWidth = 3;
      context.strokeRect(b.pixel%SIDE*CELL + 1.5, (b.pixel/SIDE | 0)*CELL + 1.5, CELL - 3, CELL - 3);
      value.value = pixels[at()];
      say(number, pixels[at()].toFixed(2));
      value.setAttribute("aria-label", `Value of the pixel in ${place()}`);
      canvas.setAttribute("aria-label", `Image of a ${b.side.set.classes[b.image]}, enlarged; ${place()}: `
        + pixels[at()].toFixed(2));
    }
    function set(v) {
      b.side.set.pixels[at()] = v;
      b.side.touched();
      show();
    }
    const done = () => { if (always.checked) b.side.go(); };
    function under(event) {
      const box = canvas.getBoundingClientRect(), cell = v => Math.min(SIDE - 1, Math.max(0, Math.floor(v*SIDE)));
      b.pixel = cell((event.clientY - box.top)/box.height)*SIDE + cell((event.clientX - box.left)/box.width);
      set(+ink.value);
    }
    function put() {
      b.side.set.pixels.set(b.kept.subarray(b.image*AREA, (b.image + 1)*AREA), b.image*AREA);
      b.side.touched();
      show();
      done();
    }
    const MOVES = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]};
    canvas.addEventListener("pointerdown", e => {
      canvas.setPointerCapture(e.pointerId);
      canvas.focus({preventScroll: true});
      e.preventDefault();
      under(e);
    });
    canvas.addEventListener("pointermove", e => { if (canvas.hasPointerCapture(e.pointerId)) under(e); });
    canvas.addEventListener("pointerup", done);
    canvas.addEventListener("keydown", e => {
      const move = MOVES[e.key], clip = v => Math.min(SIDE - 1, Math.max(0, v));
      if (move) b.pixel = clip((b.pixel/SIDE | 0) + move[1])*SIDE + clip(b.pixel%SIDE + move[0]);
      else if (e.key !== " ") return;
      e.preventDefault();
      if (move) return show();
      set(+ink.value);
      done();
    });
    value.addEventListener("input", () => set(+value.value));
    value.addEventListener("change", done);
    return Object.assign(b, {part, of: s => s === b.side ? b.image : -1, look(s, i) {
      const other = b.side && b.side !== s ? b.side : null, fresh = b.set !== s.set;
      Object.assign(b, {side: s, image: i, set: s.set});
      if (fresh && !s.set.kept) s.set.kept = s.set.pixels.slice();
      b.kept = s.set.kept;
      value.min = s.set.low;
      value.max = s.set.high;
      which.replaceChildren(...sides.filter(t => t.set).map(t => make("optgroup",
        {label: `side ${t.name.toUpperCase()}`}, ...shown(t.set).map((i, k) =>
          make("option", {value: `${t.name} ${i}`}, `${t.name.toUpperCase()} ${k + 1}: a ${t.set.classes[i]}`)))));
      which.value = `${s.name} ${i}`;
      say(head, `Paint on an image of side ${s.name.toUpperCase()}`);
      if (other) other.show();
      s.show();
      show();
    }});
  })();

  // ---- all of it ----

  const worker = `"use strict"; const net = (${watchNet})(); onmessage = e => net.work(e.data, postMessage);`;
  const program = URL.createObjectURL(new Blob([worker], {type: "text/javascript"}));
  const sides = [];
  sides.push(side("a", "random"), side("b", "dc"));
  const both = make("button", {type: "button", class: "both", onclick: () => sides.forEach(s => { s.stop(); s.go(); })},
    "Train both");
  root.replaceChildren(make("div", {class: "sides"}, ...sides.map(s => s.part)), make("div", {class: "act"}, both),
    make("figure", {}, chart.svg, make("figcaption", {}, "Accuracy on the real test digits in percent. Thin: three "
      + "networks that began from other weights; thick: their mean, side A in one piece, side B dashed; dotted: before "
      + "painting.")),
    brush.part);
  sides.slice().reverse().forEach(s => s.choose());
  brush.look(sides[1], 0);
})();

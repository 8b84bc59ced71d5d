"""Which method when: a small and a larger bill of seconds and of bytes, hard labels and two kinds of soft ones.

    python bench/which.py            # digits, then MNIST; runs are kept under runs/which
    python bench/which.py --merge    # -> bench/results/which.json

Every method makes a set of `ipc` images per class in some ten seconds of one core, or in five times as many steps. The
steps are written down here, the same for all machines, so that a run can be made again; what it took stands in its row,
as seconds of the processor (other work ran beside it), training of backbones included unless they were there. It is
then trained on with its class labels, with one soft label an image, and with a label for every view, by the same
teacher for all. Bytes count what a user would have to keep: images of eight bits a pixel, labels, soft labels.
"""
import sys
import time

from dd_lit.distill import distill
from dd_lit.evaluate import evaluate
from dd_lit.labels.losses import get_loss
from dd_lit.labels.soft import relabel
from dd_lit.train import predict
from harness import run_table
from prepared import data_of, settings_for, squeezing, teacher_of

IPCS = 1, 10, 50
BRIEF, LONG = 'brief', 'long'                              # the two bills
NETS = dict(width=32, squeeze_epochs=6, squeeze_augment='crop')
SMALL = NETS | dict(width=16)
STEPS = {   # method -> (steps of the brief bill, of the long one) by images per class; the rest of its settings
    'random': ({}, {}), 'herding': ({}, NETS), 'k_center': ({}, NETS),
    'rded': ({}, SMALL | dict(pool=100, factor=1)),
    'dc': ({1: (60, 300), 10: (2, 10)}, dict(width=32, batch_real=64)),
    'dm': ({1: (100, 500), 10: (100, 500), 50: (60, 300)}, dict(width=32, batch_real=64)),
    'mtt': ({1: (30, 150)}, dict(width=16, steps=10, span=1, starts=4, experts=3, expert_lr=.02, expert_batch_size=64,
                                 lr_img=100., lr_lr=1e-5, student_lr=.02)),
    'sre2l': ({1: (300, 1500), 10: (100, 500), 50: (30, 150)}, SMALL | dict(crop=.5, flip=False)),
    'gvbsm': ({1: (150, 750), 10: (50, 250), 50: (15, 75)},
              SMALL | dict(crop=.5, flip=False, lr=.1, backbones=('resnet18', 'convnet3'))),
}
STUDENT = dict(repeats=1, epochs=150, model_kw=dict(width=32))
HARD = dict(opt='sgd', lr=.02, batch_size=50, schedule='cosine', augment=None)
SOFT = dict(opt='adamw', lr=.003, batch_size=50, schedule='cosine', augment=None, hard=False)
VIEWS = dict(crop=.5, flip=False, mix=False)


def made(data: str, method: str, ipc: int, bill: str, seed: int):
    "A set within the bill."
    steps, rest = STEPS[method]
    known = settings_for(method, rest) | (dict(iters=steps[ipc][bill == LONG]) if ipc in steps else {})
    return distill(method, data_of(data), ipc, seed=seed, **known)


def run(data: str, method: str, ipc: int, bill: str, seed: int) -> dict:
    d, teacher, since = data_of(data), teacher_of(data), time.process_time()
    ds = made(data, method, ipc, bill, seed)
    took = time.process_time() - since
    one = predict(teacher, ds.images)
    every = relabel(ds, teacher, epochs=STUDENT['epochs'], batch_size=50, seed=seed, **VIEWS)
    how = dict(seed=seed, loss=get_loss('kl', scale=True), **SOFT, **STUDENT)
    out = dict(hard=evaluate(ds, d, seed=seed, **HARD, **STUDENT).mean, every=evaluate(ds, d, soft=every, **how).mean,
               one=evaluate(ds, d, soft=one, **how).mean)
    images = ds.images.numel() + len(ds)                                # a byte a pixel, a byte a class label
    sizes = dict(hard=images, one=images + 4*one.numel(), every=images + every.nbytes()['total'])
    return out | dict(took=round(took, 2), **{f'bytes_{k}': v for k, v in sizes.items()})


def tasks(data, seeds) -> list[dict]:
    "Choosers know one bill, and so has a method that takes one step."
    return [dict(data=d, method=m, ipc=i, bill=b, seed=s) for d in data for s in seeds for i in IPCS
            for m, (steps, _) in STEPS.items() if not steps or i in steps
            for b in ((BRIEF, LONG) if steps else (BRIEF,))]


if __name__ == '__main__':
    sys.exit(run_table('which', 'methods by seconds and bytes', tasks, run, data=('digits', 'mnist'), rows='method',
                       steps={m: {str(k): v for k, v in s.items()} for m, (s, _) in STEPS.items()},
                       settings={m: r for m, (_, r) in STEPS.items()}, student=STUDENT, hard_labels=HARD,
                       soft_labels=SOFT, views=VIEWS, squeezing=squeezing('digits')))

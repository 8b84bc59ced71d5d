"""What the tables of runs spend, once for all of them: images, networks, steps, and the methods' settings.

The budgets are far below the papers' (4000 steps, ResNet-18 with 64 channels, 1000 epochs of evaluation); every table
writes its own into its result file.
"""

def _budget(squeeze_epochs: int, squeeze_augment: str, crop: float, flip: bool, mix: bool) -> dict:
    views = dict(crop=crop, flip=flip)
    squeezing = dict(squeeze_epochs=squeeze_epochs, squeeze_augment=squeeze_augment)
    return dict(
        distill=dict(iters=100, width=16, **squeezing, **views),
        label=dict(epochs=80, batch_size=50, **views, mix=mix),
        epochs=80,   # of the networks that are judged, and their width
        width=32)


BUDGET = dict(
    digits=_budget(6, 'crop', crop=.5, flip=False, mix=False),
    mnist=_budget(1, 'crop', crop=.5, flip=False, mix=False),
    cifar10=_budget(2, 'crop_flip', crop=.3, flip=True, mix=True))
TRAIN = dict(mnist=10000, cifar10=10000)   # real images used for squeeze and statistics, the first so many
IPC = 10                                   # images per class

# the committees; the paper's MobileNet and ShuffleNet train badly in so few epochs
THREE = ('resnet18', 'convnet3', 'wrn16_2')   # on digits
TWO = ('resnet18', 'convnet3')                # on MNIST and CIFAR-10
GVBSM = dict(backbones=THREE, lr=.1)
OGM = dict(iters=30, lr=.05, pool=100)
OGM_REAL = OGM | dict(init='real', patch=False)

METHODS = {   # name of a row -> (method, settings on top of the budget's)
    'random': ('random', {}),
    'rded': ('rded', dict(iters=1, pool=100)),
    'sre2l': ('sre2l', {}),
    'gvbsm': ('gvbsm', GVBSM | dict(backbones=TWO)),
    'ogm': ('ogm', OGM),
    'ogm, no SVD': ('ogm', OGM | dict(svd=False)),
    'ogm, gamma 0': ('ogm', OGM | dict(gamma=0.)),
    'ogm, no running mean': ('ogm', OGM | dict(ema=False)),
    'ogm, whole crops': ('ogm', OGM | dict(patch=False)),
    'ogm, from real images': ('ogm', OGM_REAL),
    'ogm, from noise': ('ogm', OGM | dict(init='noise', patch=False, lr=.1)),
    'ogm, 4x steps': ('ogm', OGM | dict(iters=120)),
    'ogm, gamma 1': ('ogm', OGM | dict(gamma=1.)),
    'ogm, deep half': ('ogm', OGM | dict(skip=10)),
    'ogm, channel form': ('ogm', OGM | dict(mode='channel')),
    'ogm, whole crops, no SVD': ('ogm', OGM | dict(patch=False, svd=False)),
    'ogm, from real images, no SVD': ('ogm', OGM_REAL | dict(svd=False)),
}


def squeezing(data: str) -> dict:
    "How the networks of a data set are trained: settings of `squeeze`."
    s = BUDGET[data]['distill']
    return dict(epochs=s['squeeze_epochs'], augment=s['squeeze_augment'], width=s['width'])


def views(data: str) -> dict:
    "What is done to the images of a data set before a teacher labels them: settings of `relabel`."
    return {k: BUDGET[data]['label'][k] for k in ('crop', 'flip', 'mix')}

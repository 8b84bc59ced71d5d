"""The claims of the five papers that can be put as a comparison, one row each.

A row says where the claim stands, what is claimed, the paper's numbers (better | worse), the page
that explains it, and the check that decides it. `ledger.py` decides them all.
"""
from dataclasses import dataclass

from checks import (
    Check,
    adaptive_saves,
    alive,
    best_gamma,
    best_source,
    both,
    by_recipe,
    collapse,
    dc_cost,
    dropping_is_cheaper,
    flow_cost,
    gift_costs_nothing,
    kept,
    near_full_data,
    ogm_cost,
    order,
    theorem_holds,
)

@dataclass(frozen=True)
class Claim:
    "One claim of a paper."
    paper: str                  # dc, gvbsm, ogm, sfm, gift
    where: str                  # table, figure or section
    text: str                   # what is claimed
    says: str                   # the paper's numbers
    page: str                   # notebook that explains it
    file: str = ''              # stored run; '' if it cannot be tested here
    check: Check | None = None  # None if it cannot be tested here
    why: str = ''               # why it cannot


def untestable(paper: str, where: str, text: str, says: str, page: str, why: str) -> Claim:
    return Claim(paper, where, text, says, page, why=why)


# --- "Delving into Effective Gradient Matching" ---

# rows of gradient_tables.json as recipes of the paper's tables
OF_RECIPES = {'intra': 'dc', 'inter': 'dc_inter', 'interleaved': 'dc_interleaved', 'multi': 'dc_m',
              'd:angle+l2': 'dc_md', 'mdo': 'dc_mdo', 'mda': 'dc_mda'}


def gradient(where, text, says, page, better, worse, at_least=False, not_at='', at='') -> Claim:
    """A claim of 'better beats worse' about gradient_tables.json and the rows of the tables; not in
    the place where the paper itself has it the other way round (or `at` this place alone), and not
    where all sets had one outer iteration: they have hardly left their start."""
    def asked(place):
        return place != not_at and at in ('', place) and not place.endswith('ipc 10')
    check = kept(asked, order('gradient_tables', better, worse, at_least=at_least))
    if better in OF_RECIPES and worse in OF_RECIPES and not at:
        named = (OF_RECIPES[better], OF_RECIPES[worse])
        check = both(check, by_recipe(*named, at_least=at_least))
    return Claim('dc', where, text, says, f'gradient/{page}.ipynb', 'gradient_tables', check)


_FEW = ('it needs many outer iterations; the runs there are, at ten images per class, have one, and have hardly left '
        'the real images that they start from')

GRADIENT = [
    gradient('Table 1', 'multi-level matching beats intra-class matching',
             '97.6 | 97.4 MNIST, 48.6 | 44.9 CIFAR-10 (IPC 10); MNIST at IPC 1 the other way: 90.9 | 91.7',
             'multilevel', 'multi', 'intra', not_at='mnist, ipc 1'),
    gradient('Table 1', 'multi-level matching beats inter-class matching',
             '97.6 | 96.9, 48.6 | 46.7', 'multilevel', 'multi', 'inter'),
    gradient('Table 1', 'multi-level matching beats alternating the two',
             '97.6 | 97.1, 48.6 | 45.9; MNIST at IPC 1 the other way: 90.9 | 91.7',
             'multilevel', 'multi', 'interleaved', not_at='mnist, ipc 1'),
    *(gradient('Table 1', f'on MNIST at one image per class {one} beats multi-level matching', '91.7 | 90.9',
               'multilevel', better, 'multi', at='mnist, ipc 1')
      for one, better in (('intra-class matching', 'intra'), ('alternating the two', 'interleaved'))),
    gradient('Table 2', 'the angle beats l2 alone',
             '32.9 | 23.6 (SVHN, IPC 1)', 'distance', 'multi', 'd:l2'),
    gradient('Table 2', 'the angle beats sse alone',
             '32.9 | 24.3', 'distance', 'multi', 'd:sse'),
    gradient('Table 2', 'the angle beats mse alone',
             '32.9 | 23.5', 'distance', 'multi', 'd:mse'),
    gradient('Table 2', 'angle + l2 beats the angle alone',
             '34.5 | 32.9', 'distance', 'd:angle+l2', 'multi'),
    gradient('Table 2', 'angle + sse beats the angle alone',
             '34.1 | 32.9', 'distance', 'd:angle+sse', 'multi'),
    gradient('Table 2', 'angle + mse beats the angle alone',
             '34.0 | 32.9', 'distance', 'd:angle+mse', 'multi'),
    gradient('Table 2', 'angle + l2 is at least as good as angle + sse',
             '34.5 | 34.1', 'distance', 'd:angle+l2', 'd:angle+sse', at_least=True),
    gradient('Table 2', 'angle + l2 is at least as good as angle + mse',
             '34.5 | 34.0', 'distance', 'd:angle+l2', 'd:angle+mse', at_least=True),
    Claim('dc', 'Table 3', 'MD beats DC', '91.9 | 91.7 MNIST, 30.0 | 28.3 CIFAR-10 (IPC 1)',
          'gradient/multilevel.ipynb', 'reproduced', by_recipe('dc_md', 'dc')),
    untestable('dc', 'Table 3', 'stopping at overfitting (O) is at least as good as 50 epochs',
               '97.9 | 97.9, 49.9 | 49.5 (IPC 10)', 'gradient/schedule.ipynb', _FEW),
    untestable('dc', 'Table 3', 'the adaptive schedule (A) is at least as good as 50 epochs',
               '97.9 | 97.9, 50.2 | 49.5', 'gradient/schedule.ipynb', _FEW),
    Claim('dc', 'Section 4', 'M and D add less than 1 % to a step', '< 1 %',
          'gradient/dc.ipynb', 'dc_cost', dc_cost('MD')),
    Claim('dc', 'Section 4', 'A saves at least 25 % of the time at IPC 10 (ours: with half the real batch)',
          '25 to 30 %',
          'gradient/dc.ipynb', 'dc_cost', adaptive_saves(25)),
    Claim('dc', 'Table 4', 'images made with a ConvNet train the other five networks best',
          '72.7 (MLP) to 90.4 (ResNet) on the other five, each the best of its column',
          'study/cross_architecture.ipynb', 'cross_architecture', best_source('convnet3')),
    untestable('dc', 'Table 3', 'MDA reaches 50.2 % on CIFAR-10 and 97.9 % on MNIST at IPC 10',
               '50.2, 97.9', 'gradient/dc.ipynb',
               '1000 outer iterations of a ConvNet of width 128: '
               '`dd_lit reproduce` says how many hours'),
]


# --- "Generalized Large-Scale Data Condensation" (G-VBSM) ---

def statistics(where, text, says, better, worse, at_least=False) -> Claim:
    "A claim of 'better beats worse', with soft labels: on photographs, and in the small."
    check = both(*(order(table, better, worse, only='soft', at_least=at_least)
                   for table in ('statistics_colour', 'colour', 'statistics_tables')))
    page = 'statistics/gvbsm.ipynb'
    return Claim('gvbsm', where, text, says, page, 'statistics_tables', check)


STATISTICS = [
    statistics('Table 5', 'G-VBSM beats SRe2L',
               '53.5 | 27.2 (CIFAR-10, IPC 10)', 'gvbsm', 'sre2l'),
    statistics('Table 10', 'BN and Conv statistics together beat BN alone',
               '31.4 | 27.8 (ImageNet)', 'gvbsm', 'gvbsm, only BN'),
    statistics('Table 10', 'together they beat Conv alone',
               '31.4 | 24.0', 'gvbsm', 'gvbsm, only Conv'),
    statistics('Table 10', 'BN alone beats Conv alone',
               '27.8 | 24.0', 'gvbsm, only BN', 'gvbsm, only Conv'),
    statistics('Table 1', 'a memory of 0.4 beats none',
               '31.4 | 30.4', 'gvbsm', 'gvbsm, alpha 0'),
    statistics('Table 1', 'a memory of 0.8 beats 0.4',
               '31.9 | 31.4', 'gvbsm, alpha 0.8', 'gvbsm'),
    statistics('Table 3', 'all teachers beat one',
               '31.4 | 25.7', 'gvbsm', 'gvbsm, 1 teacher'),
    statistics('Table 3', 'two teachers beat one',
               '27.2 | 25.7', 'gvbsm, 2 teachers', 'gvbsm, 1 teacher'),
    statistics('Table 6', 'logit normalisation helps a small student',
               '31.4 | 31.0', 'gvbsm', 'gvbsm, no logit normalisation'),
    statistics('Figure 5', 'several backbones beat one (GBM)',
               'a step of the curve', 'gvbsm', 'gvbsm, one backbone'),
    statistics('Figure 5', 'data densification (DD) helps',
               'a step of the curve', 'gvbsm', 'gvbsm, no DD'),
    statistics('Table 11', 'shorter squeezing is better on easy data',
               '46.5 | 42.5 (CIFAR-10, ConvNet, 5 | 20 epochs)', 'gvbsm', 'gvbsm, squeeze x4'),
    statistics('Figure 6', 'dropping statistics at random costs no accuracy',
               'beta_dr 0.4', 'gvbsm', 'gvbsm, beta_dr 0', at_least=True),
    Claim('gvbsm', 'Section 3.3', 'dropping statistics at random makes a step cheaper',
          'beta_dr 0.4', 'statistics/conv_stats.ipynb', 'statistics_cost',
          alive('statistics_cost', dropping_is_cheaper)),
    Claim('gvbsm', 'Figure 10',
          'a memory made by G-VBSM beats one made by SRe2L when classes arrive in ten steps',
          'a curve', 'study/continual.ipynb', 'continual',
          order('continual', 'gvbsm', 'sre2l', only=', 10 steps')),
    untestable('gvbsm', 'Table 4', 'G-VBSM reaches 31.4 % on ImageNet-1k at IPC 10',
               '31.4 (SRe2L 21.3)', 'statistics/gvbsm.ipynb',
               'no ImageNet and no pretrained networks on this machine'),
]


# --- OGM, with RDED and Muon ---

def orthogonal(where, text, says, page, better, worse, only) -> Claim:
    "A claim of 'better beats worse' about ogm_tables.json and, on photographs, the tables in colour."
    check = both(*(order(table, better, worse, only=only)
                   for table in ('colour', 'muon_colour', 'ogm_tables')))
    return Claim('ogm', where, text, says, page, 'ogm_tables', check)


_OGM, _RDED, _MUON = 'orthogonal/ogm.ipynb', 'coreset/rded.ipynb', 'orthogonal/muon.ipynb'
_POLAR, _BN = 'orthogonal/polar.ipynb', 'orthogonal/bn_gradient.ipynb'

ORTHOGONAL = [
    orthogonal('Section 3', "with hard labels, SRe2L's images are worse than random ones",
               '4.6 | 1.5 (ImageNet-1k, IPC 10)', _BN, 'random', 'sre2l', 'hard'),
    orthogonal('Section 3', "with hard labels, G-VBSM's images are worse than random ones",
               '4.6 | 1.6', _BN, 'random', 'gvbsm', 'hard'),
    orthogonal('hard-label table', 'with hard labels, OGM beats random images',
               '11.8 | 4.6', _OGM, 'ogm', 'random', 'hard'),
    orthogonal('hard-label table', 'with hard labels, OGM beats RDED',
               '11.8 | 11.5', _OGM, 'ogm', 'rded', 'hard'),
    orthogonal('soft-label table', 'with soft labels, OGM beats RDED',
               '39.4 | 38.4', _OGM, 'ogm', 'rded', 'soft'),
    orthogonal('soft-label table', 'with soft labels, OGM beats SRe2L',
               '39.4 | 33.5', _OGM, 'ogm', 'sre2l', 'soft'),
    orthogonal('soft-label table', 'with soft labels, OGM beats G-VBSM',
               '39.4 | 35.8', _OGM, 'ogm', 'gvbsm', 'soft'),
    orthogonal('Table 3', 'orthogonalising (SVD) beats the pseudo-gradient as it is',
               '39.4 | 38.8 soft, 11.8 | 10.6 hard', _POLAR, 'ogm', 'ogm, no SVD', 'labels'),
    orthogonal('implied by the method', 'the direction term helps: gamma 0.05 beats 0',
               '', _OGM, 'ogm', 'ogm, gamma 0', 'labels'),
    orthogonal('Table 3', 'crops inside patches beat crops across them',
               '39.4 | 37.8 soft, 11.8 | 10.2 hard', _RDED, 'ogm', 'ogm, whole crops', 'labels'),
    orthogonal('Table 3', 'starting from RDED beats starting from real images',
               '37.8 | 35.4 soft, 10.2 | 5.3 hard', _RDED, 'ogm, whole crops', 'ogm, from real images', 'labels'),
    orthogonal('implied by the method', 'starting from RDED beats starting from noise',
               '', _RDED, 'ogm', 'ogm, from noise', 'labels'),
    orthogonal('Section 3.2', 'Muon beats SGD in evaluation',
               '+7.1 points at IPC 10', _MUON, 'muon', 'sgd', 'images'),
    orthogonal('Table 3', 'Muon beats AdamW in evaluation (ours: class labels)',
               '16.7 | 11.8 hard; 47.0 | 39.4 soft was not run', _MUON, 'muon', 'adamw', 'images'),
    Claim('ogm', 'efficiency', 'true gradients take twice the time of pseudo-gradients',
          '2x', 'orthogonal/pseudo_gradient.ipynb', 'ogm_cost',
          ogm_cost('true_over_pseudo', lambda v: v >= 1.8)),
    Claim('ogm', 'efficiency', 'orthogonalising is a small share of a step (ours: under 10 %)',
          'negligible', _POLAR, 'ogm_cost', ogm_cost('orthogonal_share', lambda v: v < .1)),
    untestable('ogm', 'tables', 'ImageNet-1k with ResNet-18 at IPC 10, 50 and 100',
               '47.0 soft, 16.7 hard (IPC 10, Muon)', _OGM, 'no ImageNet on this machine'),
]


# --- statistical flow matching and classifier inheritance ---

FLOWS = 'flow_imagenette', 'flow_tables'


def flow(where, text, says, better, worse, at_least=False) -> Claim:
    "A claim of 'better beats worse' about the accuracies of sets that were made with frozen networks."
    how = dict(only='ipc', at_least=at_least, not_in=':')
    return Claim('sfm', where, text, says, _SFM, 'flow_tables', both(*(order(t, better, worse, **how) for t in FLOWS)))


def inherited(where, text, says, worse, there) -> Claim:
    "Classifier inheritance against another way, for SFM's images: on the network that made them, or elsewhere."
    places = dict(same=[('flow_imagenette', 'lite0', 'lite0'), ('flow_tables', 'convnet3', 'convnet3'),
                        ('flow_tables', 'resnet18', 'resnet18')],
                  other=[('flow_imagenette', 'lite0', 'lite1'), ('flow_imagenette', 'lite0', 'lite2'),
                         ('flow_tables', 'convnet3', 'resnet18'), ('flow_tables', 'resnet18', 'convnet3')])[there]
    checks = (order(table, 'ci', worse, only=f'sfm from {made} on {on}') for table, made, on in places)
    return Claim('sfm', where, text, says, _INHERIT, 'flow_tables', both(*checks))


_SFM, _INHERIT = 'flow/sfm.ipynb', 'flow/inherit.ipynb'

# the text at hand has the abstract, a summary and the captions of the figures, but none of the tables
FLOW = [
    flow('abstract', 'SFM with one augmentation is at least as good as LGM with ten',
         'comparable or better', 'sfm', 'lgm, 10 augmentations', at_least=True),
    flow('summary', 'SFM beats LGM with one augmentation', 'outperforms', 'sfm', 'lgm, 1 augmentation'),
    flow('implied by the abstract', 'SFM beats random images', '', 'sfm', 'random'),
    flow('implied by the abstract', 'SFM beats the real images nearest to the class centres',
         '', 'sfm', 'centroids'),
    Claim('sfm', 'Figure 5', "SFM's flow is closer to the real one than LGM's",
          'cosine 95.6 | 88.2', _SFM, 'flow_tables',
          both(*(order(t, 'sfm', 'lgm, 10 augmentations', only=': flow') for t in FLOWS))),
    Claim('sfm', 'abstract',
          'a step of SFM takes a quarter of the time of LGM with ten augmentations (ours: or less)',
          '4x', _SFM, 'flow_cost', flow_cost(4, median_s='the time of a step')),
    Claim('sfm', 'abstract', 'SFM needs a tenth of the memory',
          '10x', _SFM, 'flow_cost',
          flow_cost(9.5, saved_mb='kept for the backward pass',
                    peak_mb='rise of the resident memory')),
    flow('Figure 4', 'the decoupled target loss (TCDD) beats the non-target one (NCDD)',
         'by the look of the images', 'TCDD', 'NCDD'),
    flow('implied by the method', 'matching the flow beats matching target centres only',
         '', 'sfm', 'TCDD'),
    inherited('abstract', 'classifier inheritance beats a fresh head, on another network',
              'substantial gains', 'normal', 'other'),
    inherited('Figure 3', 'classifier inheritance beats distilling the golden head into a fresh one, '
              'on another network', '', 'kd', 'other'),
    inherited('implied by the release', 'classifier inheritance beats training projector and head '
              'jointly, on another network', '', 'jt', 'other'),
    inherited('implied by the release', 'classifier inheritance beats training the projector '
              'through the golden head, on another network', '', 'st', 'other'),
    inherited('implied by the abstract', 'classifier inheritance beats a fresh head on the same '
              'network', '', 'normal', 'same'),
    Claim('sfm', 'summary',
          'with CI, one image per class comes near the full data '
          '(ours: within 3 points, same network)',
          'sometimes approaching it', _INHERIT, 'flow_tables', both(*(near_full_data(t, margin=3.) for t in FLOWS))),
    untestable('sfm', 'summary', 'ImageNet-1k with CLIP, DINO-v2, EVA-02 and MoCo-v3', '', _SFM,
               'their weights cannot be fetched where this was measured; '
               '`pretrained` loads them'),
]


# --- GIFT ---

_GIFT, _KD, _COLLAPSE = 'labels/gift.ipynb', 'labels/kd.ipynb', 'study/kl_collapse.ipynb'


def plain(place: str) -> bool:
    "A place of a table of losses without another optimiser, network or gamma."
    return place.count(',') == 1 and ' on ' not in place


def plainly(better: str, worse: str) -> list[Check]:
    "One loss beats another: on photographs with a trained teacher, and in the small."
    return [kept(plain, order(table, better, worse)) for table in ('gift_colour', 'label_tables')]


def losses(where, text, says, better, worse, page=_GIFT) -> Claim:
    "One loss beats another, under the paper's protocol and under a short one."
    check = both(order('gift_protocol', better, worse), *plainly(better, worse))
    return Claim('gift', where, text, says, page, 'label_tables', check)


def short(text, says, better, worse) -> Claim:
    "One loss beats another under the short protocol: Table 7."
    return Claim('gift', 'Table 7', text, says, _GIFT, 'label_tables', both(*plainly(better, worse)))


OF_TABLE_6 = dict(ce=('cross-entropy with hard labels', 26.6), kl=('KL at T = 20', 47.5), mse=('MSE', 47.6),
                  soft_ce=('soft cross-entropy', 40.8), kl_ce=('KL + CE', 48.2), mse_ce=('MSE + CE', 47.4),
                  soft_ce_ce=('soft CE + CE', 39.7))


def six(better: str, name: str, reaches: float, where: str) -> list[Claim]:
    "A loss beats each of Table 6; that the cosine alone beats KL is a claim of Table 7."
    asked = {k: v for k, v in OF_TABLE_6.items() if (better, k) != ('cosine', 'kl')}
    return [losses('Table 6', f'{name} beats {words}', f"{reaches} | {has}{where if k == 'ce' else ''}", better, k)
            for k, (words, has) in asked.items()]


def under(optimiser: str) -> Check:
    "GIFT beats KL under this optimiser."
    return kept(lambda place: place.endswith(f', {optimiser}'),
                both(*(order(table, 'gift', 'kl') for table in ('gift_colour', 'label_tables'))))


def collapsed(optimiser: str) -> Check:
    "KL collapses under this optimiser: on photographs with a trained teacher, and in the small."
    return both(collapse(optimiser, 'gift_colour'), collapse(optimiser))


LOSSES = [
    # What Table 6 prints for GIFT at CIFAR-100 is what Tables 7 and 13 print for the cosine without refinement: 49.5.
    # The full loss has 50.6 there, so both are asked
    *six('gift', 'GIFT', 50.6, ' (CIFAR-100, RDED, IPC 10; 50.6 from Table 1)'),
    *six('cosine', 'the cosine loss alone', 49.5, ' (as printed)'),
    losses('Table 3', 'GIFT beats KD', '50.6 | 43.2', 'gift', 'kd', _KD),
    losses('Table 3', 'GIFT beats WSLD', '50.6 | 38.6', 'gift', 'wsld', _KD),
    losses('Table 3', 'GIFT beats DKD', '50.6 | 49.0', 'gift', 'dkd', _KD),
    losses('Table 3', 'GIFT beats NKD', '50.6 | 46.3', 'gift', 'nkd', _KD),
    losses('Table 6', 'KL beats cross-entropy with hard labels',
           '47.5 | 26.6', 'kl', 'ce', 'labels/losses.ipynb'),
    short('the cosine loss alone beats KL', '49.5 | 47.5 (CIFAR-100, RDED, IPC 10)', 'cosine', 'kl'),
    short('refinement alone helps KL', '48.0 | 47.5', 'refine_kl', 'kl'),
    short('refinement helps the cosine loss', '50.6 | 49.5', 'gift', 'cosine'),
    Claim('gift', 'Table 5', 'KL collapses under SGD',
          '1.9 | 47.5 (SGD | AdamW, CIFAR-100, RDED)', _COLLAPSE, 'label_tables',
          collapsed('sgd')),
    Claim('gift', 'Table 5', 'KL collapses under Adam',
          '17.8 | 47.5 (Adam | AdamW)', _COLLAPSE, 'label_tables', collapsed('adam')),
    Claim('gift', 'Table 5', 'GIFT beats KL under SGD',
          '53.4 | 1.9', _GIFT, 'label_tables', under('sgd')),
    Claim('gift', 'Table 5', 'GIFT beats KL under Adam',
          '53.7 | 17.8', _GIFT, 'label_tables', under('adam')),
    Claim('gift', 'Table 4', 'GIFT beats KL on networks that the images were not made for',
          '+0.2 to +12.2', _GIFT, 'label_tables',
          order('label_tables', 'gift', 'kl', only=' on ')),
    Claim('gift', 'Figure 3', 'gamma = 0.1 is best (ours: at most a point behind the best)',
          '0.1', _GIFT, 'label_tables', best_gamma('0.1')),
    Claim('gift', 'title', 'GIFT costs near nothing (ours: under 5 % of a step)',
          'near-zero', _GIFT, 'label_cost', alive('label_cost', gift_costs_nothing)),
    Claim('gift', 'Theorem 1', 'InfoNCE is bounded from above by the cosine expression',
          'a theorem', 'labels/theorem.ipynb', 'label_cost', alive('label_cost', theorem_holds)),
    Claim('gift', 'Figure 2',
          'GIFT beats KL when classes arrive in five or ten steps (RDED images)',
          'a curve', 'study/continual.ipynb', 'continual',
          order('continual', 'gift', 'kl', only=', rded, ')),
    untestable('gift', 'Table 1', 'Tiny-ImageNet and ImageNet-1k at IPC 1, 10, 50 and 100',
               '', _GIFT, 'neither dataset is on this machine'),
]

CLAIMS = [*GRADIENT, *STATISTICS, *ORTHOGONAL, *FLOW, *LOSSES]

# Why runs speak both for and against a claim, in a sentence each: the ledger shows it wherever they do
_APART = ('The places differ in dataset, teacher (trained here on a part of MNIST, or a ResNet-56 by others), '
          'augmentation and length (sixty epochs, three hundred); which of these decides was not tested.')
BECAUSE = {
    'SFM with one augmentation is at least as good as LGM with ten':
        'The two places differ in network and in images per class; which of them decides was not tested. Runs on '
        'CIFAR-10 that are out of date have SFM ahead on the ConvNet at one image, so the dataset matters, too.',
    "SFM's flow is closer to the real one than LGM's":
        'Against it speaks the ConvNet with ten digits a class, for it the ResNet-18 with one. Which of the two '
        "decides was not tested; on CIFAR-10, in runs that are out of date, SFM's flow is closer on the ConvNet, too.",
    'SFM needs a tenth of the memory':
        'Two measures: what is kept for the backward pass shrinks to a tenth; the rise of the process also counts what '
        'is in use for a moment only, and that shrinks less.',
    'orthogonalising is a small share of a step (ours: under 10 %)':
        'The width decides: orthogonalising costs the cube of the channels, the rest of a step their square.',
    'classifier inheritance beats distilling the golden head into a fresh one, on another network':
        'The places differ in data, networks and how these were trained. One guess: networks that know ImageNet share '
        'a representation, two small ones trained on ten thousand digits need not.',
    'GIFT beats soft cross-entropy': _APART,
    'GIFT beats KD': _APART,
    'GIFT beats soft CE + CE': _APART,
}

# What a verdict does not say by itself, in a sentence or two: the ledger shows it at the same place, whatever came out
REMARK = {
    'true gradients take twice the time of pseudo-gradients':
        "Decided on pictures of 32 pixels only. The run at the paper's 224 pixels, which is out of date and was timed "
        'once, has 1.99 times: at that size the claim seems to hold.',
    'SFM beats LGM with one augmentation':
        'On Imagenette this LGM is no better than random images: 58 percent against 61, the cosine of its flow 32 '
        'against 46. It had a fifth of the usual iterations, at the rate that SFM had, so the lead there says little. '
        'Ten views were not run there.',
    'Muon beats AdamW in evaluation (ours: class labels)':
        'Each optimiser was tried at two rates, and on photographs AdamW was best at the lower of its own in every '
        'run. Lower rates should be run before this is believed.',
    'KL collapses under SGD':
        "At one rate chosen by hand, 0.02, for KL without the square of the temperature, as in the paper's release. "
        'In a sweep of rates KL learns at 400 times the usual one, and with the square it learns at the usual one.',
    'the decoupled target loss (TCDD) beats the non-target one (NCDD)':
        'The verdict is about steps: both losses have the same minimum, and on digits the second one teaches three '
        'times as much after five times the steps.',
    'two teachers beat one':
        "The paper's numbers rise from one teacher to two and to all. Ours fall from two teachers to all three, from "
        '68.1 to 62.2 percent in the mean, and whether all beat one is undecided.',
}

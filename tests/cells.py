"""Cells of the papers' tables, each with the row, the dataset and the images per class that it stands at: `in_place`
reads them from a paper's text, in the words of the recipes, so that a number at another row's place is seen."""
import re
from collections.abc import Iterable, Iterator

Cell = tuple[str, str, int, float, float | None]      # row, data, images per class (0: all), mean, deviation
DATA = {'MNIST': 'mnist', 'FashionMNIST': 'fashion_mnist', 'SVHN': 'svhn', 'CIFAR-10': 'cifar10',
        'CIFAR-100': 'cifar100', 'Tiny-ImageNet': 'tiny_imagenet', 'ImageNet-1k': 'imagenet'}
NUMBER = re.compile(r'(\d+\.\d+)(?:\s*±\s*(\d+\.?\d*))?')
NETS = ('ResNet-18', 'ResNet-50', 'ResNet-101')


def cleaned(text: str) -> str:
    "Without what a converter left behind, and without gains in brackets."
    text = text.replace('±plus-or-minus\\pm±', '±').replace('\\pm', '±').replace('<b>', '').replace('</b>', '')
    return re.sub(r'\(\s*\\uparrow[^)]*\)', '', text)


def values(text: str) -> list[tuple[float, float | None]]:
    return [(float(a), float(b) if b else None) for a, b in NUMBER.findall(text)]


def one_by_one(names: Iterable[tuple], text: str) -> Iterator[Cell]:
    "The numbers of a line, each at its (row, data, images per class)."
    yield from ((*name, *v) for name, v in zip(names, values(text), strict=True))


def by_data(text: str, names: list[str], last: str = '') -> Iterator[Cell]:
    "Dataset and images per class at the left, a row of the recipes in each column; all images in the last."
    data = ''
    for line in text.splitlines():
        data_name, *cells = line.split('\t')
        data = DATA.get(data_name, data)
        if not cells or not cells[0].isdigit():
            continue
        for name, cell in zip([*names, last], cells[1:], strict=False):
            at = 'imagenette' if '[†]' in cell else data
            yield from ((name, at, 0 if name == last else int(cells[0]), *v) for v in values(cell))


def dc_two(text: str) -> Iterator[Cell]:
    labels = ['d1', 'd2', 'd3', '100 d4', 'd1 + d2', 'd1 + d3', 'd1 + 100 d4']
    lines = [line.split('\t')[1] for line in text.splitlines()[1:] if '\t' in line]
    for label, line in zip(labels, lines, strict=True):
        yield from one_by_one([(label, 'svhn', 1)], line)


def dc_four(text: str) -> Iterator[Cell]:
    head, *lines = [line.split('\t') for line in text.splitlines() if '\t' in line]
    for source, *cells in lines:
        for target, cell in zip(head[1:], cells, strict=True):
            yield from one_by_one([(f'{source}, {target}', 'mnist', 1)], cell)


def gvbsm_lines(text: str, labels: list[str], nets: Iterable[str], ipc: int = 10) -> Iterator[Cell]:
    "A label for each line with numbers, a network for each column; labels may say where the network goes."
    lines = [line for line in text.splitlines() if re.search(r'\d\.\d+%', line)]
    for label, line in zip(labels, lines, strict=True):
        cells = re.findall(r'(\d+\.\d+)%', line)
        for net, v in zip(nets, cells, strict=True):
            yield label.replace('NET', net), 'imagenet', ipc, float(v), None


def gvbsm_six(text: str) -> Iterator[Cell]:
    how = [f'{net}, {loss}' for net in NETS[:2] for loss in ('MSE + 0.1 GT', 'KL')]
    yield from gvbsm_lines(text, ['LN, NET', 'no LN, NET'], how)


def ogm_by_ipc(text: str) -> Iterator[Cell]:
    head = re.search(r'^IPC (.*)$', text, re.M)[1].split()
    for line in re.findall(r'^\d+ [\d. ]+$', text, re.M):
        ipc, rest = line.split(' ', 1)
        yield from one_by_one([(n, 'imagenet', int(ipc)) for n in head], rest)


def ogm_three(text: str) -> Iterator[Cell]:
    columns = [f'{svd}{kind}' for svd in (', ', ', without SVD, ') for kind in ('soft', 'hard')]
    for label, rest in re.findall(r'^([+A-Z].*?) ((?: ?\d+\.\d)+)$', text, re.M):
        names = [(label.removeprefix('+ ') + c, 'imagenet', 10) for c in columns]
        yield from one_by_one(names, rest)


def gift_lines(text: str) -> Iterator[tuple[str, str]]:
    "Lines with numbers: what stands in front of them, and they."
    for line in text.splitlines():
        m = re.match(r'(.*?)\s*((?:- )?\d+\.\d+ ?(?:±.*)?)$', line)
        if m and '±' in line:
            yield m[1], m[2]


SIX = [(d, n) for d in ('cifar100', 'tiny_imagenet') for n in (1, 10, 50)]
SEVEN = [('cifar100', 10), ('cifar100', 50), *(('tiny_imagenet', n) for n in (10, 50)),
         *(('imagenet', n) for n in (10, 50, 100))]


def gift_one(text: str) -> Iterator[Cell]:
    nets = ['ConvNet']*8 + ['ResNet-18']*8
    lines = list(gift_lines(text))
    for net, (label, rest) in zip(nets, lines, strict=True):
        label = re.sub('^(ConvNet|ResNet-18) ', '', label).removesuffix(' -').strip()
        at = [p for p in SIX if not (label.startswith('DATM') and p[1] == 1)]
        yield from one_by_one([(f'{label}, {net}', *p) for p in at], rest)


def gift_imagenet(text: str) -> Iterator[Cell]:
    "Table 2 and 13: two networks, three sizes."
    for label, rest in gift_lines(text):
        names = [(f'{label}, {net}', 'imagenet', n) for net in ('ConvNet', 'ResNet-18') for n in (10, 50, 100)]
        yield from one_by_one(names, rest)


def gift_seven(text: str) -> Iterator[Cell]:
    "Tables 3 and 6: seven columns; the teacher has learnt from all images."
    for line in re.findall(r'^Teacher (.*)$', text, re.M):
        yield from one_by_one([('Teacher', d, 0) for d, _ in SEVEN], line)
    for label, rest in gift_lines(text):
        label = re.sub('^(Hard& Soft|Hard|Soft) Label ', '', label).replace(' (ours)', '')
        yield from one_by_one([(label, *p) for p in SEVEN], rest)


def gift_four(text: str) -> Iterator[Cell]:
    targets = ['ConvNet', 'ResNet-18', 'EfficientNet-B0', 'MobileNet-V2', 'ResNet-101', 'Swin-V2-Tiny']
    source = ''
    for label, rest in gift_lines(text):
        for name in ('ConvNet', 'ResNet-18'):
            if label.startswith(f'{name} '):
                source, label = name, label.removeprefix(f'{name} ')
        yield from one_by_one([(f'{label}, {source}, {t}', 'tiny_imagenet', 10) for t in targets], rest)


def gift_five(text: str) -> Iterator[Cell]:
    for label, rest in gift_lines(text):
        names = [(f'{label}, {o}', d, 10) for d in ('cifar100', 'tiny_imagenet') for o in ('SGD', 'Adam', 'AdamW')]
        yield from one_by_one(names, rest)


def gift_seventh(text: str) -> Iterator[Cell]:
    kinds = ['neither', 'Refine', 'Loss', 'Refine and Loss']
    for i, (_, rest) in enumerate(gift_lines(text)):
        label = f"{('SRe2L', 'RDED')[i//4]}, {kinds[i % 4]}"
        yield from one_by_one([(label, *p) for p in SIX], rest)


def gift_nine(text: str) -> Iterator[Cell]:
    data = ''
    for line in text.splitlines():
        data = DATA.get(line.split(' ')[0], data)
        if m := re.search(r'(resnet18|ConvNet)\S* .* (\d+\.\d+)$', line):
            yield from one_by_one([({'resnet18': 'ResNet-18'}.get(m[1], m[1]), data, 0)], m[2])


def gift_twelve(text: str) -> Iterator[Cell]:
    for label, rest in gift_lines(text):
        names = [(f'{label}, {n}, {o}', 'imagenet', 10) for n in ('ConvNet', 'ResNet-18')
                 for o in ('SGD', 'Adam', 'AdamW')]
        yield from one_by_one(names, rest)


FIVE = ['Random', 'Herding', 'K-Center', 'Forgetting', 'DC', 'DM', 'CAFE', 'KIP', 'MTT', 'DataDAM', 'G-VBSM, ConvNet',
        'SRe2L, ResNet-18', 'G-VBSM, ResNet-18']
READERS = {
    ('dc', 'Table 1'): lambda t: by_data(t, ['intra-class', 'inter-class', 'interleaved', 'multi-level']),
    ('dc', 'Table 2'): dc_two,
    ('dc', 'Table 3'): lambda t: by_data(t, ['Random', 'Herding', 'DC Baseline', 'Ours-M', 'Ours-MD', 'Ours-MDO',
                                             'Ours-MDA'], 'Whole Training Set'),
    ('dc', 'Table 4'): dc_four,
    ('gvbsm', 'Table 1'): lambda t: gvbsm_lines(t, [f'alpha = {a}, NET' for a in ('0', '0.4', '0.8')], NETS[:2]),
    ('gvbsm', 'Table 2'): lambda t: gvbsm_lines(
        t, ['SRe2L, NET', 'G-VBSM, NET'], ['DeiT-Tiny', 'ResNet-18', 'MobileNetV2', 'Swin-Tiny'], 50),
    ('gvbsm', 'Table 3'): lambda t: gvbsm_lines(
        t, [f'{n} of the four label, NET' for n in (1, 2, 3)] + ['all four label, NET'], NETS[:2]),
    ('gvbsm', 'Table 4'): lambda t: by_data(t, ['MTT', 'DataDAM', 'TESLA'] + [
        f'{m}, {n}' for m in ('SRe2L', 'G-VBSM') for n in NETS]),
    ('gvbsm', 'Table 5'): lambda t: by_data(t, FIVE, 'Whole Dataset'),
    ('gvbsm', 'Table 6'): gvbsm_six,
    ('gvbsm', 'Table 10'): lambda t: gvbsm_lines(t, ["L'_BN alone, NET", "L'_Conv alone, NET", 'both, NET'], NETS),
    ('ogm', 'soft labels'): ogm_by_ipc,
    ('ogm', 'hard labels'): ogm_by_ipc,
    ('ogm', 'Table 3'): ogm_three,
    ('gift', 'Table 1'): gift_one,
    ('gift', 'Table 2'): gift_imagenet,
    ('gift', 'Table 3'): gift_seven,
    ('gift', 'Table 4'): gift_four,
    ('gift', 'Table 5'): gift_five,
    ('gift', 'Table 6'): gift_seven,
    ('gift', 'Table 7'): gift_seventh,
    ('gift', 'Table 9'): gift_nine,
    ('gift', 'Table 12'): gift_twelve,
    ('gift', 'Table 13'): gift_imagenet,
}


def in_place(where: tuple[str, str], text: str) -> list[Cell]:
    "The cells of a table, from its text."
    return list(READERS[where](cleaned(text)))

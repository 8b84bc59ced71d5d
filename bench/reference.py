"""The release's loops (DC and DSA, VICO-UoE), restated with torch's own layers: what `speed.py` measures ours against.

As they are there, also where they could do better: real images of a class in one piece, gradients of what is not
matched, a DataLoader for a hundred images, angles put together number by number, a graph for testing.
"""
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset
from torchvision import transforms

from dd_lit.augment import DSA_PARAMS
from dd_lit.gradient.distance import grad_distance
from prepared import plainify

def as_released(net: nn.Module) -> nn.Module:
    "The same network from torch's own layers, its ReLUs in place."
    for m in plainify(net).modules():
        if isinstance(m, nn.ReLU):
            m.inplace = True
    return net


# --- a matching step of DC ---

def dc_step(net: nn.Module, images: Tensor, real: list[Tensor]) -> tuple[Tensor, Tensor]:
    "Loss and its gradient in the images; the network's parameters collect theirs, too."
    params, ipc = list(net.parameters()), len(images)//len(real)
    loss, images.grad = torch.zeros(()), None
    for c, x in enumerate(real):
        y = torch.ones(len(x), dtype=torch.long)*c
        real_grads = torch.autograd.grad(F.cross_entropy(net(x), y), params)
        real_grads = [g.detach().clone() for g in real_grads]
        s = images[c*ipc:(c + 1)*ipc]
        own = F.cross_entropy(net(s), torch.ones(ipc, dtype=torch.long)*c)
        loss = loss + grad_distance(torch.autograd.grad(own, params, create_graph=True), real_grads, 'angle')
    loss.backward()
    return loss.detach(), images.grad


# --- DSA's augmentation: one operation for the batch, every image its own strength ---

def _u(x: Tensor) -> Tensor:
    return torch.rand(len(x), 1, 1, 1)


def _sampled(x: Tensor, theta: list) -> Tensor:
    grid = F.affine_grid(torch.tensor(theta, dtype=torch.float), list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, align_corners=False)


def _color(x: Tensor) -> Tensor:
    x = x + (_u(x) - .5)*DSA_PARAMS['brightness']
    grey = x.mean(1, keepdim=True)
    x = (x - grey)*(_u(x)*DSA_PARAMS['saturation']) + grey
    mean = x.mean((1, 2, 3), keepdim=True)
    return (x - mean)*(_u(x) + DSA_PARAMS['contrast']) + mean


def _meshed(n: int, h: int, w: int) -> tuple[Tensor, ...]:
    return torch.meshgrid(torch.arange(n), torch.arange(h), torch.arange(w), indexing='ij')


def _crop(x: Tensor) -> Tensor:
    n, _, h, w = x.shape
    up, left = (int(s*DSA_PARAMS['crop'] + .5) for s in (h, w))
    dy, dx = (torch.randint(-s, s + 1, (n, 1, 1)) for s in (up, left))
    image, row, column = _meshed(n, h, w)
    row, column = (row + dy + 1).clamp(0, h + 1), (column + dx + 1).clamp(0, w + 1)
    padded = F.pad(x, [1, 1, 1, 1, 0, 0, 0, 0])
    return padded.permute(0, 2, 3, 1).contiguous()[image, row, column].permute(0, 3, 1, 2)


def _cutout(x: Tensor) -> Tensor:
    n, _, h, w = x.shape
    tall, wide = (int(s*DSA_PARAMS['cutout'] + .5) for s in (h, w))
    oy, ox = (torch.randint(0, s + 1 - hole % 2, (n, 1, 1)) for s, hole in ((h, tall), (w, wide)))
    image, row, column = _meshed(n, tall, wide)
    row, column = (row + oy - tall//2).clamp(0, h - 1), (column + ox - wide//2).clamp(0, w - 1)
    mask = torch.ones(n, h, w)
    mask[image, row, column] = 0
    return x*mask.unsqueeze(1)


def _flip(x: Tensor) -> Tensor:
    return torch.where(_u(x) < DSA_PARAMS['flip'], x.flip(3), x)


def _scale(x: Tensor) -> Tensor:
    top = DSA_PARAMS['scale']
    sx, sy = (torch.rand(len(x))*(top - 1/top) + 1/top for _ in 'xy')
    return _sampled(x, [[[sx[i], 0, 0], [0, sy[i], 0]] for i in range(len(x))])


def _rotate(x: Tensor) -> Tensor:
    a = (torch.rand(len(x)) - .5)*2*DSA_PARAMS['rotate']/180*float(np.pi)
    return _sampled(x, [[[torch.cos(a[i]), torch.sin(-a[i]), 0], [torch.sin(a[i]), torch.cos(a[i]), 0]]
                        for i in range(len(x))])


OPERATIONS = dict(color=_color, crop=_crop, cutout=_cutout, flip=_flip, scale=_scale, rotate=_rotate)


def augmented(x: Tensor, strategy: str) -> Tensor:
    "The batch by one of the operations, from the global generator."
    names = strategy.split('_')
    return OPERATIONS[names[int(torch.randint(0, len(names), (1,)))]](x).contiguous()


# --- training and testing ---

def one_epoch(net: nn.Module, loader: DataLoader, optimizer: torch.optim.Optimizer | None, strategy: str) -> tuple:
    "Through the loader once, training if there is an optimiser; mean loss and accuracy."
    criterion, total, right, n = nn.CrossEntropyLoss(), 0., 0, 0
    net.train(optimizer is not None)
    for datum in loader:
        x, y = datum[0].float(), datum[1].long()
        x = augmented(x, strategy) if strategy else x
        out = net(x)
        loss = criterion(out, y)
        right += np.sum(np.equal(np.argmax(out.data.numpy(), axis=-1), y.data.numpy()))
        total += loss.item()*len(y)
        n += len(y)
        if optimizer is not None:
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return total/n, right/n


def trained(net: nn.Module, x: Tensor, y: Tensor, epochs: int, strategy: str = '') -> float:
    "A student of a set, at a tenth of the learning rate after half of the epochs; the last epoch's loss."
    lr, loss = .01, 0.
    optimizer = torch.optim.SGD(net.parameters(), lr=lr, momentum=.9, weight_decay=5e-4)
    loader = DataLoader(TensorDataset(x, y), batch_size=256, shuffle=True, num_workers=0)
    for e in range(epochs):
        loss, _ = one_epoch(net, loader, optimizer, strategy)
        if e == epochs//2 + 1:
            lr *= .1
            optimizer = torch.optim.SGD(net.parameters(), lr=lr, momentum=.9, weight_decay=5e-4)
    return loss


def tested(net: nn.Module, x: Tensor, y: Tensor) -> float:
    "Percent right of the images."
    loader = DataLoader(TensorDataset(x, y), batch_size=256, shuffle=False, num_workers=0)
    return 100*float(one_epoch(net, loader, None, '')[1])


# --- a teacher, as the field's scripts train one (not the release's: it has none) ---

class _Pictures(torch.utils.data.Dataset):
    "Bytes, each cropped, mirrored and normalised by torchvision when it is asked for."
    def __init__(self, x: Tensor, y: Tensor, norm: tuple):
        self.x, self.y, side = x, y, x.shape[-1]
        self.seen = transforms.Compose([transforms.RandomCrop(side, padding=side//8),
                                        transforms.RandomHorizontalFlip(), transforms.Normalize(*norm)])
    def __len__(self):
        return len(self.x)
    def __getitem__(self, i):
        return self.seen(self.x[i].float()/255), self.y[i]


def teacher_epoch(net: nn.Module, x: Tensor, y: Tensor, norm: tuple, batch_size: int = 64) -> float:
    "One epoch of a teacher on bytes; its mean loss."
    optimizer = torch.optim.SGD(net.parameters(), lr=.05, momentum=.9, weight_decay=5e-4)
    loader = DataLoader(_Pictures(x, y, norm), batch_size=batch_size, shuffle=True, num_workers=0)
    return one_epoch(net, loader, optimizer, '')[0]

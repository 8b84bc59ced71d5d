"""A device that is not there: tensors say they are on it, numbers are computed on the CPU, and whatever a GPU would
refuse is refused.

torch's own fake tensors find mixed devices too, but carry no numbers, so that code which looks at one (`.item()`, a
check for NaN) cannot be followed. Here a tensor on the device wraps a real one. An operation that meets the device's
tensors and tensors of the CPU raises, as CUDA does (single numbers and indices from the CPU are allowed there and
here); so does `.numpy()`, a random generator of the other side and, where `double` is False, any float64 (as on
Apple's GPUs).

    with PretendDevice() as device: distill('dc', data, device=device)
"""
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

NAME = 'meta'          # a device type that torch always has and that no kernel of ours asks for
aten = torch.ops.aten
# indices may stay on the CPU, as with CUDA; the values that are put may not
INDEXED = {aten.index.Tensor, aten.index_put.default, aten.index_put_.default, aten._index_put_impl_.default,
           aten._unsafe_index.Tensor, aten._unsafe_index_put.default}
COPIES = {aten.copy_.default, aten._copy_from.default, aten._to_copy.default, aten._copy_from_and_resize.default}


class Mixed(RuntimeError):
    "An operation met tensors of two devices."


class There(torch.Tensor):
    "A tensor on the device; `real` has the numbers."
    @staticmethod
    def __new__(cls, real):
        layout = dict(strides=real.stride(), storage_offset=real.storage_offset(), dtype=real.dtype)
        t = torch.Tensor._make_wrapper_subclass(cls, real.shape, **layout, device=NAME, requires_grad=False)
        t.real_ = real
        return t
    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        return run(func, args, kwargs or {})
    @property
    def is_meta(self):
        return False             # it has numbers, whatever its device's name says
    def tolist(self):
        return self.real_.tolist()
    def __repr__(self):
        return f'There({self.real_})'
    def numpy(self, *a, **k):
        raise TypeError("can't convert a tensor of the pretended device to numpy; use .cpu() first")
    def __array__(self, *a, **k):
        return self.numpy()
    def __deepcopy__(self, memo):
        t = There(self.real_.clone())
        is_parameter = isinstance(self, torch.nn.Parameter)
        return torch.nn.Parameter(t, self.requires_grad) if is_parameter else t.requires_grad_(self.requires_grad)


class Rules:
    double = True
    seen = 0            # operations on the device: a test that saw none tested nothing


def run(func, args, kwargs):
    "Compute on the real tensors; raise where devices mix."
    flat, _ = tree_flatten((args, kwargs))
    tensors = [t for t in flat if isinstance(t, torch.Tensor)]
    there = [t for t in tensors if isinstance(t, There)]
    named = 'device' in kwargs and kwargs['device'] is not None
    wants = torch.device(kwargs['device']).type == NAME if named else bool(there)
    if there or wants:
        Rules.seen += 1
    if func not in COPIES and there:
        alone = [t for t in tensors if not isinstance(t, There) and t.ndim > 0]
        if func in INDEXED:
            alone = [t for t in alone if not any(t is i for i in (args[1] or ()))]
        if alone:
            here, away = ([list(t.shape) for t in ts] for ts in (alone, there))
            raise Mixed(f"{func}: a tensor of the CPU {here} meets tensors of the device {away}")
    gen = kwargs.get('generator')
    if gen is not None and wants:
        raise Mixed(f"{func}: expected a generator of the device, got one of the {gen.device.type}")
    real = lambda t: t.real_ if isinstance(t, There) else t
    a, k = tree_map(real, args), tree_map(real, kwargs)
    if named:
        k['device'] = 'cpu'
    out = func(*a, **k)
    if func in COPIES and not named and func is not aten._to_copy.default:
        return args[0]
    written = (r.alias_info is not None and r.alias_info.is_write for r in func._schema.returns)
    inplace = func._schema.name.endswith('_') or any(written)
    if inplace and isinstance(args[0] if args else kwargs.get('out'), torch.Tensor):
        return (args[0] if args else kwargs['out']) if not isinstance(out, (tuple, list)) else args[0]
    def wrap(t):
        if not isinstance(t, torch.Tensor) or not wants:
            return t
        if t.dtype == torch.float64 and not Rules.double:
            raise TypeError(f"{func}: the device has no float64")
        return There(t)
    return tree_map(wrap, out)


class _Data(TorchFunctionMode):
    "`torch.tensor(numbers, device=...)` makes its tensor where no dispatch sees it: here, and then it is moved."
    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        if func in (torch.tensor, torch.as_tensor) and kwargs.get('device') is not None:
            return func(*args, **kwargs | dict(device='cpu')).to(kwargs['device'])
        return func(*args, **kwargs)


class PretendDevice(TorchDispatchMode):
    "Context manager; gives the device's name."
    def __init__(self, double=True):
        super().__init__()
        self.double, self.data = double, _Data()
    def __enter__(self):
        super().__enter__()
        self.data.__enter__()
        Rules.double, Rules.seen = self.double, 0
        return NAME
    def __exit__(self, *error):
        self.data.__exit__(*error)
        return super().__exit__(*error)
    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        return run(func, args, kwargs or {})

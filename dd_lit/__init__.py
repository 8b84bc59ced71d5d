"""A literate library of dataset distillation: a few images per class that train a network nearly as well as all.

The names below are loaded when they are first used, so `import dd_lit` costs nothing.
"""
import importlib
from typing import TYPE_CHECKING

__version__ = "0.1.0"
__all__ = ['DistilledSet', 'ImageData', 'Method', 'Scores', 'compare', 'create_model', 'distill', 'evaluate',
           'list_data', 'list_methods', 'list_models', 'load_data', 'register', 'relabel']

_HOME = {
    'data': ('ImageData', 'list_data', 'load_data'),
    'sets': ('DistilledSet',),
    'models': ('create_model', 'list_models'),
    'labels.soft': ('relabel',),
    'evaluate': ('Scores', 'evaluate'),
    'method': ('Method', 'list_methods', 'register'),
    'distill': ('distill',),
    'compare': ('compare',),
}
_NAMES = {name: module for module, names in _HOME.items() for name in names}

if TYPE_CHECKING:
    from dd_lit.compare import compare as compare
    from dd_lit.data import ImageData as ImageData
    from dd_lit.data import list_data as list_data
    from dd_lit.data import load_data as load_data
    from dd_lit.distill import distill as distill
    from dd_lit.evaluate import Scores as Scores
    from dd_lit.evaluate import evaluate as evaluate
    from dd_lit.labels.soft import relabel as relabel
    from dd_lit.method import Method as Method
    from dd_lit.method import list_methods as list_methods
    from dd_lit.method import register as register
    from dd_lit.models import create_model as create_model
    from dd_lit.models import list_models as list_models
    from dd_lit.sets import DistilledSet as DistilledSet


def __getattr__(name: str):
    "A public name, from the module that defines it. A module of the same name can be called, and is what you get."
    if name not in _NAMES:
        raise AttributeError(f"module 'dd_lit' has no attribute {name!r}")
    module = importlib.import_module(f'dd_lit.{_NAMES[name]}')
    return module if name == _NAMES[name] else getattr(module, name)


def __dir__():
    return sorted({*globals(), *_NAMES})

"""What the whole training set teaches the students of two tables: the row above all others.

    DD_LIT_DATA=... python bench/whole.py            # CIFAR-10, then digits; runs are kept under runs/whole
    DD_LIT_DATA=... python bench/whole.py --merge    # -> bench/results/whole.json

The student of `bench/colour.py` on CIFAR-10 and that of `dd_lit demo` on digits, by their own recipes, with as many
epochs as `full_recipe` finds enough for the full data.
"""
import sys

from dd_lit.evaluate import full_accuracy, full_recipe
from harness import run_table
from prepared import whole_data

STUDENTS = dict(cifar10=dict(width=64), digits=dict(width=32))
RECIPES = dict(cifar10=dict(protocol='dsa', precision='bfloat16'), digits=dict(protocol='dc'))


def run(data: str, row: str, seed: int) -> dict:
    d = whole_data(data)
    how = full_recipe(d, **RECIPES[data])
    return dict(accuracy=full_accuracy(d, row, seed=seed, model_kw=STUDENTS[data], **how), images=len(d.train_y),
                epochs=how['epochs'])


def tasks(data, seeds) -> list[dict]:
    return [dict(data=d, row='convnet3', seed=s) for s in seeds for d in data]


if __name__ == '__main__':
    sys.exit(run_table('whole', 'a student on the whole training set', tasks, run, data=('cifar10', 'digits'),
                       students=STUDENTS, recipes=RECIPES))

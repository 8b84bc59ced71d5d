"""A run that takes long: what it says, what it leaves, how it goes on."""
import os

SMALL = ['--set', 'width=8', 'batch_real=20']
LOG = {'DD_LIT_PROGRESS': ''}        # as if nobody had set it


def test_a_log_hears_of_a_run(cli):
    "One line at the start where there is no terminal; nothing at all if it is not wanted."
    args = ['distill', 'dc', '--iters', 2, '--out', 'a', *SMALL]
    assert cli(*args, check=0, env=LOG).stderr.splitlines() == ['dc ipc 1: 2 steps']
    assert cli(*args, '--fresh', check=0).stderr == ''


def test_only_the_first_process_speaks(cli):
    assert cli('distill', 'dc', '--iters', 1, *SMALL, check=0, env=LOG | dict(RANK='1')).stderr == ''


def test_leftovers_go_at_the_next_start(call, tmp_path):
    "A killed process's temporary file, not one that somebody may still be writing."
    from dd_lit.core import _writer
    (tmp_path/'a').mkdir()
    pid, machine = _writer().split('-')
    gone = next(n for n in range(2**22 - 1, 1, -1) if not os.path.exists(f'/proc/{n}'))
    left, busy = (tmp_path/'a'/f'.data.safetensors.tmp-{p}-{machine}-abcd1234' for p in (gone, pid))
    for f in (left, busy):
        f.touch()
    call('distill', 'dc', '--iters', 1, '--out', 'a', *SMALL, check=0)
    assert busy.exists() and not left.exists()

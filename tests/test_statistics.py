"""Statistical matching and soft labels from the command line, and one whole way through the library."""
import json

TINY = ('width=8', 'squeeze_epochs=1', 'squeeze_augment=crop')


def test_cli(cli, tmp_path):
    "distil with SRe2L, evaluate with a loss from the zoo; the second run takes the backbone from the cache."
    env = dict(DD_LIT_CACHE=str(tmp_path/'cache'))
    cli('distill', 'sre2l', '--ipc', '1', '--iters', '4', '--out', 'a', '--set', *TINY, check=0, env=env)
    assert len(list((tmp_path/'cache').iterdir())) == 1
    before = next((tmp_path/'cache').iterdir()).stat().st_mtime_ns
    one = ('--set', *TINY, "backbones=('resnet18',)")
    cli('distill', 'gvbsm', '--ipc', '2', '--iters', '2', '--out', 'b', *one, check=0, env=env)
    assert next((tmp_path/'cache').glob('*resnet18_*[0-9a-f].safetensors')).stat().st_mtime_ns == before
    cli('evaluate', 'a', '--repeats', '1', '--loss', 'kl_ce', '--set', 'epochs=4', 'width=8', check=0, env=env)
    scores = json.loads(next((tmp_path/'a').glob('scores_*kl_ce*.json')).read_text())
    assert len(scores['top1']) == len(scores['hard']) == 1


def test_cli_errors(call, tmp_path, monkeypatch):
    "One line, exit 2, for what the issue lists."
    monkeypatch.setenv('DD_LIT_CACHE', str(tmp_path/'cache'))
    for method, settings, word in (('sre2l', ["backbones=('convnet3',)"], 'batch normalisation'),
                                   ('sre2l', ['alpha=1.0'], 'alpha'),
                                   ('gvbsm', ['bn=False', 'conv=False'], 'at least one')):
        p = call('distill', method, '--set', *settings, *TINY, '--ipc', '1', '--iters', '1', '--out', 'x')
        assert p.returncode == 2 and word in p.stderr and len(p.stderr.strip().splitlines()) == 1, p.stderr


def test_stored_labels_follow_the_set(tmp_path):
    "relabel -> disk -> another object -> evaluate gives what labels in memory give."
    from dd_lit.data import load_data
    from dd_lit.distill import distill
    from dd_lit.evaluate import evaluate
    from dd_lit.labels.soft import SoftLabels, relabel
    from dd_lit.teachers import squeeze
    data = load_data('digits')
    t = squeeze('resnet18', data, epochs=1, width=8, cache=tmp_path/'c')
    ds = distill('random', data, 2)
    kw = dict(epochs=4, batch_size=10, seed=3)
    a, _ = relabel(ds.images, [t], **kw), relabel(ds.images, [t], path=tmp_path/'l', chunk=3, **kw)
    ev = dict(repeats=1, loss='mse_ce', hard=False, model_kw=dict(width=8))
    assert evaluate(ds, data, soft=a, **ev).top1 == evaluate(ds, data, soft=SoftLabels.load(tmp_path/'l'), **ev).top1

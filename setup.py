"""Packaging. Everything a person may want to change is in settings.ini; this file only reads it."""
from configparser import ConfigParser
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
STATUS = {1: 'Planning', 2: 'Pre-Alpha', 3: 'Alpha', 4: 'Beta', 5: 'Production/Stable', 6: 'Mature', 7: 'Inactive'}
# nbdev's short names, and what the rest of the world calls them
LICENSES = {'apache2': 'Apache-2.0', 'mit': 'MIT', 'gpl2': 'GPL-2.0-or-later', 'gpl3': 'GPL-3.0-or-later',
            'bsd3': 'BSD-3-Clause'}

parser = ConfigParser(delimiters=['='])
parser.read(HERE/'settings.ini', encoding='utf-8')
cfg = parser['DEFAULT']


def words(key):
    return cfg.get(key, '').split()


def several(key, prefix):
    "One classifier for every item of a list with commas."
    return [f'{prefix} :: {v.strip()}' for v in cfg.get(key, '').split(',') if v.strip()]


def minor(version):
    return int(version.split('.')[1])


pythons = range(minor(cfg['min_python']), minor(cfg['max_python']) + 1)
classifiers = [f"Development Status :: {cfg['status']} - {STATUS[int(cfg['status'])]}",
               *several('audience', 'Intended Audience'), *several('language', 'Natural Language'),
               'Programming Language :: Python :: 3', *(f'Programming Language :: Python :: 3.{v}' for v in pythons),
               *several('topics', 'Topic'), 'Typing :: Typed']
extras = [k.removesuffix('_requirements') for k in cfg if k.endswith('_requirements')]

setup(
    name=cfg['lib_name'],
    version=cfg['version'],
    description=cfg['description'],
    long_description=(HERE/'README.md').read_text(encoding='utf-8'),
    long_description_content_type='text/markdown',
    author=cfg['author'],
    author_email=cfg['author_email'],
    url=cfg['git_url'],
    project_urls={'Documentation': cfg['doc_host'] + cfg['doc_baseurl']},
    license=LICENSES.get(cfg['license'], cfg['license']),
    keywords=words('keywords'),
    classifiers=classifiers,
    packages=find_packages(include=[cfg['lib_path'], cfg['lib_path'] + '.*']),
    package_data={cfg['lib_path']: words('package_data')},
    python_requires='>=' + cfg['min_python'],
    install_requires=words('requirements'),
    extras_require={k: words(k + '_requirements') for k in extras},
    entry_points={'console_scripts': words('console_scripts'),
                  'nbdev': [f"{cfg['lib_path']}={cfg['lib_path']}._modidx:d"]},
    zip_safe=False,
)

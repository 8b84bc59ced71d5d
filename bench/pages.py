"""What the study pages share: showing code that lives in this folder."""
import inspect

from IPython.display import Markdown

def code(*objects) -> Markdown:
    "The source of functions and classes, as a page shows it."
    sources = (inspect.getsource(o).rstrip() for o in objects)
    return Markdown('```python\n' + '\n\n'.join(sources) + '\n```')

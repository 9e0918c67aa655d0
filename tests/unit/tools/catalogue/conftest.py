"""A source tree shaped like vLLM's, of a few lines: what the generator needs of one, and what it must get past."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

TREE = {
    "pyproject.toml": '[project]\nname = "vllm"\nrequires-python = ">=3.10,<3.14"\n',
    "CMakeLists.txt": (
        "if(DEFINED CMAKE_CUDA_COMPILER_VERSION AND\n   CMAKE_CUDA_COMPILER_VERSION VERSION_GREATER_EQUAL 13.0)\n"
        '  set(CUDA_SUPPORTED_ARCHS "7.5;12.0f")\n'
        "elseif(CMAKE_CUDA_COMPILER_VERSION VERSION_GREATER_EQUAL 12.8)\n"
        '  set(CUDA_SUPPORTED_ARCHS "7.0;12.0")\nelse()\n  set(CUDA_SUPPORTED_ARCHS "7.0;9.0")\nendif()\n'
    ),
    "vllm/__init__.py": "import torch\nfrom vllm._C import kernels\n",
    "vllm/envs.py": (
        "import os\nfrom typing import TYPE_CHECKING, Any, Callable, Literal\n"
        "if TYPE_CHECKING:\n"
        '    VLLM_MAIN_CUDA_VERSION: str = "12.9"\n'
        "    VLLM_PORT: int | None = None\n"
        "    VLLM_SWITCH: bool = False\n"
        "    VLLM_WORDS: bool = False\n"
        "    VLLM_EITHER: bool = False\n"
        "    VLLM_OTHERS: bool = False\n"
        '    VLLM_ROOT: str = os.path.expanduser("~/.cache")\n'
        '    VLLM_MODE: Literal["a", "b"] = "a"\n'
        "environment_variables: dict[str, Callable[[], Any]] = {\n"
        '    "VLLM_MAIN_CUDA_VERSION": lambda: os.getenv("VLLM_MAIN_CUDA_VERSION") or "12.9",\n'
        '    "VLLM_PORT": lambda: os.getenv("VLLM_PORT"),\n'
        '    "VLLM_SWITCH": lambda: bool(int(os.getenv("VLLM_SWITCH", "0"))),\n'
        '    "VLLM_WORDS": lambda: os.getenv("VLLM_WORDS", "False").lower() == "true",\n'
        '    "VLLM_EITHER": lambda: os.getenv("VLLM_EITHER", "0").strip().lower() in ("1", "true"),\n'
        '    "VLLM_OTHERS": lambda: os.getenv("VLLM_ELSE", "0").lower() in ("1", "true"),\n'
        '    "VLLM_ROOT": lambda: os.getenv("VLLM_ROOT"),\n'
        '    "VLLM_MODE": env_with_choices("VLLM_MODE", "a", ["a", "b", "c"], case_sensitive=False),\n'
        '    "VLLM_LEFT": lambda: None,\n'
        "}\n"
    ),
    "vllm/broken.py": "import nowhere\nFirst = nowhere.Thing\nraise OSError('no library')\n",
    "vllm/platforms/__init__.py": (
        "def resolve_current_platform_cls_qualname():\n    raise RuntimeError('no GPU here')\n"
        "current = resolve_current_platform_cls_qualname\n"
    ),
    "vllm/config/__init__.py": (
        "import enum\nfrom dataclasses import field\nfrom typing import Annotated, Literal\n"
        "import torch\nfrom pydantic import ConfigDict, Field, field_validator\nfrom pydantic.dataclasses import dataclass\n"
        "class Mode(enum.Enum):\n    FAST = 1\n    SAFE = 2\n"
        "@dataclass(config=ConfigDict(extra='forbid', arbitrary_types_allowed=True))\nclass Inner:\n"
        "    depth: int = Field(default=2, ge=1)\n"
        "@dataclass(config=ConfigDict(extra='forbid', arbitrary_types_allowed=True))\nclass EngineConfig:\n"
        "    level: int = 0\n    mode: Mode | None = None\n    inner: Inner = field(default_factory=Inner)\n"
        "    dtype: torch.dtype | None = None\n    names: list[str] = field(default_factory=list)\n"
        "    hidden: int = field(default=0, init=False)\n"
        "    @field_validator('mode', mode='before')\n    @classmethod\n    def read(cls, value):\n"
        "        return Mode[value.upper()] if isinstance(value, str) and value.upper() in Mode.__members__ else value\n"
        "@dataclass\nclass DraftConfig:\n    model: str\n    tokens: int = Field(default=3, gt=0)\n"
        "@dataclass(config=ConfigDict(arbitrary_types_allowed=True))\nclass VllmConfig:\n"
        "    draft_config: DraftConfig | None = None\n    engine_config: EngineConfig | None = None\n"
        "@dataclass\nclass ServeConfig:\n"
        "    share: float = Field(default=0.9, gt=0, le=1)\n"
        "    size: int | None = None\n    eager: bool = False\n    kind: Literal['b', 'a'] = 'a'\n"
    ),
    "vllm/reasoning/__init__.py": "class ReasoningParserManager:\n    reasoning_parsers = {'think': None}\n",
    "vllm/utils/__init__.py": "",
    "vllm/utils/argparse_utils.py": (
        "import argparse\nimport regex as re\n"
        "class FlexibleArgumentParser(argparse.ArgumentParser):\n"
        "    def parse_args(self, args=None, namespace=None):\n"
        "        args = [re.sub('(?<=^--)[^=]*', lambda m: m.group().replace('_', '-'), a) for a in args]\n"
        "        return super().parse_args(args, namespace)\n"
        "def size(value):\n    if value[-1] == 'k':\n        return int(float(value[:-1]) * 1000)\n    return int(value)\n"
    ),
    "vllm/engine/__init__.py": "",
    "vllm/engine/arg_utils.py": (
        "import argparse\nimport json\nfrom dataclasses import fields\nimport deep_gemm.kernels\n"
        "from pydantic import TypeAdapter, ValidationError\nfrom pydantic.fields import FieldInfo\n"
        "from vllm.broken import First, Second\nfrom vllm.config import EngineConfig, ServeConfig\n"
        "from vllm.utils.argparse_utils import size\nNEEDS_HELP = False\n"
        "@deep_gemm.kernels.jit\ndef optional(kind):\n"
        "    return lambda text: None if text in ('', 'None') else kind(text)\n"
        "def get_kwargs(cls):\n"
        "    made = {}\n"
        "    for item in fields(cls):\n"
        "        default = item.default.default if isinstance(item.default, FieldInfo) else item.default\n"
        "        made[item.name] = {'default': default, 'help': 'Deprecated: use `--size` instead.' if NEEDS_HELP and"
        " item.name == 'eager' else ''}\n"
        "    made['share']['type'] = float\n    made['size']['type'] = optional(size)\n"
        "    made['eager']['action'] = argparse.BooleanOptionalAction\n"
        "    made['kind']['choices'] = ['a', 'b']\n"
        "    return made\n"
        "def engine(text):\n    try:\n        return TypeAdapter(EngineConfig).validate_json(text)\n"
        "    except ValidationError as error:\n        raise argparse.ArgumentTypeError(repr(error))\n"
        "def add(parser):\n"
        "    group = parser.add_argument_group('ServeConfig')\n"
        "    for name, kwargs in get_kwargs(ServeConfig).items():\n"
        "        group.add_argument('--' + name, *(['--portion'] if name == 'share' else []), **kwargs)\n"
        "    parser.add_argument('--engine-config', '-ec', type=engine, default=EngineConfig())\n"
        "    parser.add_argument('--draft-config', type=json.loads)\n"
        "    parser.add_argument('--names', nargs='+', type=str)\n"
        "    parser.add_argument('--middleware', action='append', default=[])\n"
        "    parser.add_argument('--reasoning-parser', type=str, default='')\n"
        "    parser.add_argument('--threads', type=int, default=First.count)\n"
    ),
    "vllm/entrypoints/__init__.py": "",
    "vllm/entrypoints/cli/__init__.py": "",
    "vllm/entrypoints/cli/serve.py": (
        "import uvloop\nfrom fastapi import FastAPI\nfrom vllm.engine.arg_utils import add\n"
        "class Server(FastAPI): ...\n"
        "class ServeSubcommand:\n    def subparser_init(self, subparsers):\n"
        "        parser = subparsers.add_parser('serve')\n"
        "        parser.add_argument('model_tag', nargs='?')\n        add(parser)\n        return parser\n"
        "def cmd_init():\n    print('a line that is no JSON')\n    return [ServeSubcommand()]\n"
    ),
    "tests/test_something.py": "raise SystemExit\n",
}


@pytest.fixture(scope="session")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tree, laid out."""
    root = tmp_path_factory.mktemp("vllm-source")
    for name, text in TREE.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.fixture(scope="session")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tree as a source distribution of release 9.9.9, with a member that tries to leave it."""
    path = tmp_path_factory.mktemp("dist") / "vllm-9.9.9.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for name, text in {**TREE, "vllm/../../escaped.py": "bad\n"}.items():
            entry = tarfile.TarInfo(f"vllm-9.9.9/{name}")
            entry.size = len(text.encode())
            archive.addfile(entry, io.BytesIO(text.encode()))
    return path

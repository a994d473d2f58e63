# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What the documents show of settings, queries, code and files is what programs take and what the repository has."""

from __future__ import annotations

import ast
import importlib
import json
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml
from prometheus_client import generate_latest
from pydantic import BaseModel

from appliance.metrics import Metrics
from appliance.settings import Settings
from appliance.settings_sources import load_settings
from tests.documents.pages import PAGES, ROOT, Block, blocks, words_in_code_type
from tests.documents.shell_lines import commands

FOLDERS = "appliance|benchmarks|conversion|deploy|docs|environments|orthanc_plugin|simulator|tests|training"
FILES = r"\.(json|toml|py|lua|before|sqlite|cdx|md|onnx)\b"
# Those of the service, and those that the model adds to Triton's.
METRICS = {
    *re.findall(r"^# TYPE (\w+)", generate_latest(Metrics(dict, dict).registry).decode(), re.MULTILINE),
    *re.findall(r"\bhemorrhage_\w+", (ROOT / "model_repository/hemorrhage_detector/1/model.py").read_text()),
}
COMPOSED = yaml.safe_load((ROOT / "deploy/containers/compose.yaml").read_text())
VOLUMES = {f"{COMPOSED['name']}_{volume}" for volume in COMPOSED["volumes"]}


def of(language: str) -> list[Block]:
    return [block for page in PAGES for block in blocks(page) if block.language == language]


@pytest.mark.parametrize("block", of("toml"), ids=str)
def test_settings_are_taken_as_they_stand(block: Block, tmp_path: Path) -> None:
    file = tmp_path / "appliance.toml"
    file.write_text(block.text)
    assert load_settings(file).model_dump(exclude_defaults=True)


@pytest.mark.parametrize("page", PAGES)
def test_each_setting_in_a_sentence_is_one_and_takes_the_value_that_is_named(page: str) -> None:
    wrong = [words for words in words_in_code_type(page) if _is_of_settings(words) and not _is_right(words)]
    assert wrong == []


def _is_of_settings(words: str) -> bool:
    section, _, rest = words.partition(".")
    kind = Settings.model_fields[section].annotation if section in Settings.model_fields else None
    is_section = isinstance(kind, type) and issubclass(kind, BaseModel)
    return is_section and bool(re.match(r"[a-z_]+( = .*)?$", rest)) and not re.search(FILES, words)


def _is_right(words: str) -> bool:
    name, _, value = words.partition(" = ")
    section, field = name.split(".")
    if field not in getattr(Settings.model_fields[section].annotation, "model_fields"):  # noqa: B009
        return False
    if value:
        Settings.model_validate(tomllib.loads(f"[{section}]\n{field} = {value}\n"))
    return True


def test_a_setting_that_is_none_is_found() -> None:
    assert _is_of_settings("orthanc.senders")
    assert not _is_of_settings("orthanc.json")
    assert _is_right("orthanc.senders")
    assert not _is_right("orthanc.sender")
    with pytest.raises(ValueError, match="aet"):
        _is_right('orthanc.aet = "much too long for a title"')


@pytest.mark.parametrize("block", of("json"), ids=str)
def test_json_is_whole(block: Block) -> None:
    assert json.loads(block.text)


@pytest.mark.parametrize("block", of("python"), ids=str)
def test_what_code_imports_is_there(block: Block) -> None:
    _require_imports(block.text)


@pytest.mark.parametrize("block", [block for block in of("sh") if "<<" in block.text], ids=str)
def test_what_a_program_in_a_shell_block_imports_is_there(block: Block) -> None:
    for command in commands(block.text):
        _require_imports(command.fed)


def _require_imports(code: str) -> None:
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom) and node.module:
            module = importlib.import_module(node.module)
            missing = [name.name for name in node.names if not hasattr(module, name.name)]
            assert [name for name in missing if not importlib.util.find_spec(f"{node.module}.{name}")] == []
        elif isinstance(node, ast.Import):
            for name in node.names:
                importlib.import_module(name.name)


@pytest.mark.parametrize("page", PAGES)
def test_each_metric_and_query_is_one_that_prometheus_can_ask(page: str, tmp_path: Path) -> None:
    queries = [
        words.replace("…", "x")
        for words in words_in_code_type(page)
        if re.search(r"\bhemorrhage_\w+", words)
        and not re.search(r"/|\.py|^import|_\d$", words)
        and words not in VOLUMES
    ]
    named = {name for query in queries for name in re.findall(r"\bhemorrhage_\w+", query)}
    assert named - METRICS == set()
    # A label without a value is no query, but a name of a label.
    asked = [re.sub(r"\{(\w+)\}", r'{\1!=""}', query).removesuffix(" 1") for query in queries]
    rules = [{"record": f"documented:{number}", "expr": query} for number, query in enumerate(asked)]
    if rules:
        file = tmp_path / "rules.yml"
        file.write_text(json.dumps({"groups": [{"name": "documents", "rules": rules}]}))
        done = subprocess.run(["promtool", "check", "rules", file], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", PAGES)
def test_each_test_that_is_named_exists(page: str) -> None:
    named = [re.fullmatch(r"(?:tests/)?([\w/]+\.py)::(test_\w+)", words) for words in words_in_code_type(page)]
    wrong = [one[0] for one in named if one and f"def {one[2]}(" not in _text(ROOT / "tests" / one[1])]
    assert wrong == []


def _text(file: Path) -> str:
    return file.read_text() if file.is_file() else ""


@pytest.mark.parametrize("page", PAGES)
def test_each_file_and_folder_that_is_named_by_its_path_is_there(page: str) -> None:
    named = {words for words in words_in_code_type(page) if re.fullmatch(rf"({FOLDERS})/[\w./-]+", words)}
    assert {path for path in named if not (ROOT / path).exists()} == set()

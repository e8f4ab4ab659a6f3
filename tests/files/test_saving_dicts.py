"""Dicts in files: several scalers that are saved as one."""

import json
import time
import tracemalloc

import numpy as np
import pytest
from planish import ImageNormalizer, LogScaler, MinMaxScaler, Normalizer, StandardScaler, load, save
from planish.files import saving as _saving
from planish.files.versions import VERSION
from planish.stats import Moments
from saved_objects import STATES, TABLE, assert_same, quietly


def sensors():
    return {
        "lidar": MinMaxScaler.from_stats(0.0, 120.0, channel_axis=None, clip=True),
        "camera": ImageNormalizer.imagenet(),
        "radar": StandardScaler().fit(TABLE),
        "radar, power": LogScaler(10, np.array([1.0, 2.0])),
        'größe "[{': Normalizer(),
        "": Moments().update(TABLE),
    }


def saved(obj, path):
    save(obj, path)
    return json.loads(path.read_text("utf-8"))


def test_the_same_dict_comes_back(tmp_path):
    path = tmp_path / "sensors.json"
    document = saved(sensors(), path)
    assert list(document) == ["planish", "class", "items"]
    assert document["class"] == "dict"
    assert [item["class"] for item in document["items"].values()][:3] == [
        "MinMaxScaler",
        "ImageNormalizer",
        "StandardScaler",
    ]
    loaded = load(path)
    assert type(loaded) is dict
    assert list(loaded) == list(sensors())
    for name, scaler in sensors().items():
        assert_same(scaler, loaded[name])
    save(loaded, tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == path.read_bytes()


def test_everything_that_can_be_saved_can_be_in_a_dict(tmp_path):
    everything = {name: quietly(make) for name, make in STATES.items()}
    save({"all": everything, "none": {}}, tmp_path / "all.json")
    loaded = load(tmp_path / "all.json")
    assert list(loaded) == ["all", "none"]
    assert loaded["none"] == {}
    assert list(loaded["all"]) == list(STATES)
    for name, obj in everything.items():
        assert_same(obj, loaded["all"][name])


def test_an_item_is_what_it_is_alone(tmp_path):
    scaler = StandardScaler().fit(TABLE)
    alone, item = saved(scaler, tmp_path / "a.json"), saved({"x": scaler}, tmp_path / "b.json")["items"]["x"]
    assert alone == {"planish": VERSION, **item}


def test_empty_and_nested_dicts(tmp_path):
    for obj in ({}, {"a": {}}):
        save(obj, tmp_path / "x.json")
        assert load(tmp_path / "x.json") == obj


class Mine(dict):
    pass


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({1: Moments()}, r"the keys of obj must be strings; got 1"),
        ({None: Moments()}, r"the keys of obj must be strings; got None"),
        ({"a": {b"b": Moments()}}, r"the keys of obj\['a'\] must be strings; got b'b'"),
        ({np.str_("a"): Moments()}, r"the keys of obj must be strings"),
        ({"a": 3}, r"obj\['a'\] must be one of planish's .*, a dict of them; got a builtins.int"),
        ({"a": {"b": [Moments()]}}, r"obj\['a'\]\['b'\] must be one of planish's .*; got a builtins.list"),
        ({"a": {"b": {}}}, r"obj\['a'\]\['b'\] must be one of planish's .*; got a builtins.dict"),
        (Mine(), rf"got a {__name__}.Mine"),
        ({"class": "Moments"}, r"obj\['class'\] must be one of planish's .*; got a builtins.str"),
    ],
)
def test_other_dicts_are_not_saved(tmp_path, wrong, says):
    with pytest.raises(TypeError, match=says):
        save(wrong, tmp_path / "x.json")
    assert not list(tmp_path.iterdir())


def test_a_dict_that_holds_itself_is_not_saved(tmp_path):
    endless = {}
    endless["a"] = endless
    with pytest.raises(TypeError, match=r"obj\['a'\]\['a'\] must be one of"):
        save(endless, tmp_path / "x.json")


def test_broken_objects_in_dicts_are_not_saved(tmp_path):
    with pytest.raises(ValueError, match=r"this dict cannot be saved: .*feature range"):
        save({"good": Moments(), "bad": MinMaxScaler((1, 0))}, tmp_path / "x.json")
    assert not list(tmp_path.iterdir())


ITEM = '{"class": "Normalizer", "parameters": {}, "state": {}}'
HOSTILE = {
    "no items": ('{"planish": 1, "class": "dict"}', "a dict has no items"),
    "items of a list": ('{"planish": 1, "class": "dict", "items": [1]}', r"items must be an object; got \[1\]"),
    "items of null": ('{"planish": 1, "class": "dict", "items": null}', "items must be an object; got None"),
    "a field more": ('{"planish": 1, "class": "dict", "items": {}, "state": {}}', "unknown field 'state'"),
    "unknown class": ('{"planish": 1, "class": "dict", "items": {"a": {"class": "os.system"}}}', "os.system"),
    "no class": ('{"planish": 1, "class": "dict", "items": {"a": {}}}', "its class None is none of"),
    "class of a list": ('{"planish": 1, "class": "dict", "items": {"a": {"class": []}}}', r"its class \[\] is none of"),
    "an item of null": ('{"planish": 1, "class": "dict", "items": {"a": null}}', "its class None is none of"),
    "an item of text": ('{"planish": 1, "class": "dict", "items": {"a": "dict"}}', "its class None is none of"),
    "a version in an item": (
        '{"planish": 1, "class": "dict", "items": {"a": {"planish": 1, ' + ITEM[1:] + "}}",
        "unknown field 'planish'",
    ),
    "a broken item": ('{"planish": 1, "class": "dict", "items": {"a": ' + ITEM + "}}", "parameters has no"),
    "a key twice": (
        '{"planish": 1, "class": "dict", "items": {"a": ' + ITEM + ', "a": ' + ITEM + "}}",
        "field 'a' twice",
    ),
    "a key without quotes": ('{"planish": 1, "class": "dict", "items": {a: 1}}', "property name"),
    "a number as key": ('{"planish": 1, "class": "dict", "items": {1: 1}}', "property name"),
    "nested once too often": (
        '{"planish": 1, "class": "dict", "items": {"a": {"class": "dict", "items": {"b": {"class": "dict", '
        '"items": {}}}}}}',
        "its class 'dict' is none of",
    ),
    "nested for ever": (
        '{"planish": 1, "class": "dict", "items": {"a": ' + '{"class": "dict", "items": {"a": ' * 100_000,
        "nested too deeply",
    ),
    "very many": (
        '{"planish": 1, "class": "dict", "items": {' + ", ".join(f'"{i}": {ITEM}' for i in range(100_000)) + "}}",
        "too many parts",
    ),
    "many empty ones": (
        '{"planish": 1, "class": "dict", "items": {'
        + ", ".join(f'"{i}": {{"class": "dict", "items": {{}}}}' for i in range(15_000))
        + ', "last": 1}}',
        "its class None is none of",
    ),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_files(tmp_path, case):
    text, says = HOSTILE[case]
    path = tmp_path / "x.json"
    path.write_text(text)
    start = time.perf_counter()
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=f"x.json cannot be loaded: .*{says}") as raised:
            load(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(str(raised.value)) < len(str(path)) + 1000
    assert time.perf_counter() - start < 20
    assert peak < 100e6


def test_memory_of_many_items(tmp_path):
    path = tmp_path / "many.json"
    save({str(i): Normalizer() for i in range(4_000)}, path)
    text = path.stat().st_size
    tracemalloc.start()
    try:
        assert len(load(path)) == 4_000
        assert tracemalloc.get_traced_memory()[1] < 13 * text
    finally:
        tracemalloc.stop()


def test_the_size_of_all_counts(tmp_path, monkeypatch):
    monkeypatch.setattr(_saving, "_LARGEST", 1000)
    with pytest.raises(ValueError, match="this dict cannot be saved: it takes"):
        save({str(i): Normalizer() for i in range(10)}, tmp_path / "x.json")

"""What all accumulators do alike: show themselves, say so where nothing was seen, and change only in `merge`."""

import inspect
import pydoc
from html.parser import HTMLParser

import numpy as np
import planish
import pytest
from planish import stats

CLASSES = [getattr(stats, name) for name in stats.__all__]
X = np.array([[1.0, 10.0, 0.0, 7.0, 7.0], [3.0, 20.0, 1e-9, 7.0, 8.0]])


def properties(cls):
    return [name for name, value in vars(cls).items() if inspect.isdatadescriptor(value) and not name.startswith("_")]


@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize("channel_axis", [-1, None, (0, 1)])
def test_nothing_has_a_count_and_no_statistics(cls, channel_axis):
    empty = cls(channel_axis=channel_axis)
    parameters = set(inspect.signature(cls).parameters)
    statistics = [name for name in properties(cls) if name not in parameters | {"count"}]
    assert len(statistics) == {stats.Moments: 4, stats.MedianOfMeans: 4, stats.Extrema: 2, stats.Quantiles: 1}[cls]
    for nothing in (empty, empty + cls(channel_axis=channel_axis), cls(channel_axis=channel_axis).merge(empty)):
        assert isinstance(nothing.count, np.int64)
        assert nothing.count == 0
        for name in statistics:
            with pytest.raises(ValueError, match="nothing has been taken in yet"):
                getattr(nothing, name)
        assert repr(nothing).startswith(f"{cls.__name__}(")
        assert repr(nothing).endswith("channels=0)")
        assert "channels=0" in nothing._repr_html_()
    # What has seen a batch without an element knows its channels.
    seen = empty.update(np.empty((2, 3, 0)))
    assert np.size(seen.count) == {-1: 0, None: 1, (0, 1): 6}[channel_axis]
    for name in statistics:
        assert np.isnan(getattr(seen, name)).all()


SHOWN = {
    "Moments": "channel_axis=-1, channels=5, count=[2, 2, 2, ...], mean=[2.0, 15.0, 5e-10, ...], "
    "std=[1.0, 5.0, 5e-10, ...]",
    "MedianOfMeans": "n_blocks=10, channel_axis=-1, channels=5, count=[2, 2, 2, ...], mean=[2.0, 15.0, 5e-10, ...], "
    "std=[0.0, 0.0, 0.0, ...]",
    "Extrema": "channel_axis=-1, channels=5, count=[2, 2, 2, ...], min=[1.0, 10.0, 0.0, ...], "
    "max=[3.0, 20.0, 1e-09, ...]",
    "Quantiles": "q=[0.25, 0.5, 0.75], channel_axis=-1, channels=5, count=[2, 2, 2, ...], "
    "quantiles=[[1.5, 12.5, 2.5e-10, ...], [2.0, 15.0, 5e-10, ...], [2.5, 17.5, 7.5e-10, ...]]",
}


@pytest.mark.parametrize("cls", CLASSES)
def test_repr_shows_the_first_three_channels(cls):
    assert repr(cls().update(X)) == f"{cls.__name__}({SHOWN[cls.__name__]})"
    assert "..." not in repr(cls().update(X[:, :3]))


def test_repr_of_one_channel_and_of_weights_and_parameters():
    assert repr(stats.Moments(None, ddof=1).update(X[:, 0])) == (
        "Moments(channel_axis=None, ddof=1, channels=1, count=2, mean=2.0, std=1.41421)"
    )
    assert repr(stats.Moments().update(X[:, :1], [0.5, 1.5])).endswith("count=[2.0], mean=[2.5], std=[0.866025])")
    assert repr(stats.Quantiles(0.5, None, rank_error=0.1).update(X[:, 0])) == (
        "Quantiles(q=0.5, channel_axis=None, rank_error=0.1, channels=1, count=2, quantiles=2.0)"
    )
    many = repr(stats.Quantiles(np.linspace(0, 1, 7), None).update([[0.0, 6.0]]))
    assert many.endswith("quantiles=[0.0, 1.0, 2.0, 3.0, 4.0, ...])")
    assert "channels=6, count=[1, 1, 1, ...]" in repr(stats.Extrema((0, 1)).update(np.ones((2, 3))))


class Table(HTMLParser):
    """The cells of a table, by rows; tags must close."""

    def __init__(self, text):
        super().__init__()
        self.rows, self.open = [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        if tag == "tr":
            self.rows.append([])

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1] in ("th", "td"):
            self.rows[-1].append(data)


def test_html():
    assert Table(stats.Moments().update(X)._repr_html_()).rows == [
        ["channel", "count", "mean", "std"],
        ["0", "2", "2.0", "1.0"],
        ["1", "2", "15.0", "5.0"],
        ["2", "2", "5e-10", "5e-10"],
        ["...", "...", "...", "..."],
    ]
    assert Table(stats.Quantiles([0, 0.5], None).update(X[:, 0])._repr_html_()).rows == [
        ["channel", "count", "q=0", "q=0.5"],
        ["all", "2", "1.0", "2.0"],
    ]
    assert Table(stats.Quantiles(0.5).update(X[:, :1])._repr_html_()).rows == [
        ["channel", "count", "quantiles"],
        ["0", "2", "2.0"],
    ]
    assert Table(stats.Extrema((0, 1)).update(X[:1, :2])._repr_html_()).rows == [
        ["channel", "count", "min", "max"],
        ["0, 0", "1", "1.0", "1.0"],
        ["0, 1", "1", "10.0", "10.0"],
    ]
    for cls in CLASSES:
        assert Table(cls().update(X)._repr_html_()).rows[1][:2] == ["0", "2"]


MERGING = [*CLASSES, planish.StandardScaler, planish.MinMaxScaler, planish.MaxAbsScaler, planish.RobustScaler]
MERGING += [planish.GroupedScaler, planish.ImageNormalizer, planish.layers.BatchNorm]


@pytest.mark.parametrize("cls", MERGING)
def test_merge_says_that_it_changes_self(cls):
    first = pydoc.splitdoc(inspect.getdoc(cls.merge))[0]
    assert first.startswith("Change `self`: ")

"""Statistics that hold: streaming quantiles, medians of means, masks, groups."""

import numpy as np
import pandas as pd
from measuring import Job, optional, read
from planish import GroupedScaler, RobustScaler, StandardScaler
from planish.stats import Quantiles

tdigest = optional("fastdigest")


def digests(x):
    """What one would do with a t-digest: one for each column."""
    if tdigest is None:
        return {}
    columns = [np.ascontiguousarray(column, np.float64) for column in x.T]
    return {"t-digest": lambda: [tdigest.TDigest.from_values(column).quantile(0.5) for column in columns]}


def jobs(scale):
    """Every comparison of robust statistics."""
    rng = np.random.default_rng(0)
    x = rng.normal(3, 2, size=(max(int(1_000_000 * scale), 1000), 64)).astype(np.float32)
    exact = ("RobustScaler.fit", lambda: RobustScaler().fit(x))
    yield Job("Quantiles.update, float32", lambda: Quantiles().update(x), exact, digests(x), x.nbytes)
    plain = ("StandardScaler.fit", lambda: StandardScaler().fit(x))
    yield Job("StandardScaler(n_blocks=10).fit", lambda: StandardScaler(n_blocks=10).fit(x), plain, {}, x.nbytes)
    mask = rng.random(x.shape) < 0.8
    yield Job("StandardScaler.fit with a mask", lambda: StandardScaler().fit(x, mask=mask), plain, {}, x.nbytes)
    groups, table = rng.integers(0, 100, len(x)), pd.DataFrame(x)
    peers = {"pandas": lambda: (table.groupby(groups).mean(), table.groupby(groups).std())}
    grouped = GroupedScaler(StandardScaler())
    yield Job("GroupedScaler.fit, 100 groups", lambda: grouped.fit(x, groups=groups), plain, peers, x.nbytes)
    u8 = rng.integers(0, 256, size=(max(int(1024 * scale), 4), 224, 224, 3), dtype=np.uint8)
    yield Job("exact quantiles of uint8 images", lambda: Quantiles().update(u8), ("read", read(u8)), {}, u8.nbytes)

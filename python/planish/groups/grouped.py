"""Statistics of each group: one scaler per device, scanner, site or subject.

One class, whose documentation and overloads are half of the file.
"""

from __future__ import annotations

from numbers import Integral
from typing import Any, ClassVar, Literal, Self, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, MetaEstimatorMixin, clone
from sklearn.utils import get_tags
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import (
    _check_feature_names_in,
    _get_feature_names,
    check_is_fitted,
    has_fit_parameter,
    validate_data,
)

from planish._adding import Addable
from planish._atomic import all_or_nothing
from planish._border import as_mask, both, quoted, shown
from planish._mistakes import warn_of_channels_first
from planish.groups._state import GIVEN, LEARNED
from planish.groups.fits import Fits, fits_itself, merged, twin
from planish.groups.labels import ascending, encode, locate, some, take_off
from planish.groups.maps import map_groups
from planish.groups.rows import Rows, kept_axes, kept_shape, refuse_sparse
from planish.scalers._base import ArrayTransformer, Out, weights_of_samples
from planish.scalers._state import Parameters, State
from planish.scalers._streaming import given_as
from planish.scalers._tables import ColumnsMixin, check_result_columns
from planish.scalers.robust import RobustScaler


def _can_partial_fit(self: Any) -> bool:
    if not hasattr(self.scaler, "partial_fit"):
        raise AttributeError(f"{type(self.scaler).__name__} has no partial_fit")
    return True


class GroupedScaler(Addable, MetaEstimatorMixin, ColumnsMixin, BaseEstimator):
    """Scale the samples of each group with statistics of their own.

    One scaler for each device, scanner, site or subject, and one pass over the rows for all of them, whatever order
    they come in.

    Parameters
    ----------
    scaler : StandardScaler, MinMaxScaler, MaxAbsScaler, RobustScaler or Normalizer
        What is fitted for each group: a scaler of planish, which itself stays as it is. Its channels must not be along
        the first axis, which is that of the samples.
    groups : str or int, default=None
        The column of a DataFrame that holds the labels, by its name or position. It is taken off before scaling and is
        not in the result. With None, labels are passed to the methods as ``groups=``.
    unseen : {'error', 'global'}, default='error'
        What becomes of samples whose group was not fitted: a ValueError, or the statistics of all samples together,
        which are gathered only with 'global'.

    Attributes
    ----------
    groups_ : ndarray of shape (n_groups,)
        The labels, in ascending order.
    scalers_ : dict
        The fitted scaler of each label.
    global_scaler_ : estimator
        The scaler fitted on all samples, with ``unseen='global'``.
    n_features_in_ : int
        Number of columns of a table, that of labels included; else number of channels.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns of a DataFrame, that of labels included, where `fit` saw one whose names are all strings.

    See Also
    --------
    StandardScaler, MinMaxScaler, MaxAbsScaler, RobustScaler, Normalizer : what is fitted for each group.

    Notes
    -----
    Mean and variance are gathered in one pass over the rows of a table, as they lie, where the groups are few enough
    for their sums to stay in the cache; all else by the numbers of the rows of each group, which are sorted by
    counting. No more than about a megabyte of rows is copied at a time; only the exact quantiles of `RobustScaler.fit`
    need the rows of a group at once.

    Results of `transform` are those of the group's own scaler, to the last bit. Statistics are as precise as those of a
    scaler fitted on the rows of the group alone, but mean and variance are summed in another order: their last bits may
    be others. Nothing depends on the number of threads.

    Labels may be integers, strings, dates (those of NumPy become `datetime.datetime`), or a categorical of pandas or
    polars. With metadata routing, a pipeline
    hands them on after ``set_fit_request(groups=True).set_transform_request(groups=True)``.

    Examples
    --------
    >>> import numpy as np
    >>> from planish import GroupedScaler, StandardScaler
    >>> X = np.array([[1.0], [100.0], [3.0], [300.0]])
    >>> site = ["a", "b", "a", "b"]
    >>> scaler = GroupedScaler(StandardScaler()).fit(X, groups=site)
    >>> scaler.transform(X, groups=site).ravel()
    array([-1., -1.,  1.,  1.])
    >>> scaler.scalers_["b"].mean_
    array([200.])
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "scaler": [ArrayTransformer],
        "groups": [str, Integral, None],
        "unseen": [StrOptions({"error", "global"})],
    }
    _given: ClassVar[Parameters] = GIVEN
    _learned: ClassVar[State] = LEARNED

    #: The position of the column of labels, if one holds them, and the shape of the channels.
    _column: int | None
    _channels: tuple[int, ...]
    groups_: NDArray[Any]
    scalers_: dict[Any, Any]
    global_scaler_: Any
    n_features_in_: int
    feature_names_in_: NDArray[Any]

    def __init__(
        self, scaler: Any, groups: str | int | None = None, unseen: Literal["error", "global"] = "error"
    ) -> None:
        self.scaler = scaler
        self.groups = groups
        self.unseen = unseen

    @all_or_nothing
    def fit(
        self,
        X: ArrayLike,
        y: object = None,
        groups: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        *,
        mask: ArrayLike | None = None,
        mergeable: bool = False,
    ) -> Self:
        """Fit a scaler for each group.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or array of any shape with samples along its first axis
            The data. Read once, and never copied as a whole.
        y : None
            Ignored.
        groups : array-like of shape (n_samples,), default=None
            The label of each sample; not where a column of `X` holds them.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the samples, where the scaler takes them.
        mask : array-like of bool, default=None
            True for the elements that count, where the scaler takes it: others (no data, padding, background) are left
            out. Of a shape that broadcasts to that of `X`, less a column of labels.
        mergeable : bool, default=False
            Whether exact quantiles (of a `RobustScaler`) keep what `merge` and `partial_fit` go on from. Others always
            do.

        Returns
        -------
        self : GroupedScaler
            The fitted scaler.

        Raises
        ------
        TypeError
            If `scaler` is no scaler of planish, or takes no weights, or `X` has a dtype that it does not accept.
        ValueError
            If labels are missing or too few or many, `X` is sparse, or the scaler refuses it.
        """
        self._learned.reset(self)
        self._fit(*self._read(X, groups, reset=True), sample_weight, mask, exact=True, mergeable=mergeable)
        return self

    @available_if(_can_partial_fit)
    @all_or_nothing
    def partial_fit(
        self,
        X: ArrayLike,
        y: object = None,
        groups: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        *,
        mask: ArrayLike | None = None,
    ) -> Self:
        """Go on with another batch, which may have groups that were not there before.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or of any shape with the same channels
            The batch.
        y : None
            Ignored.
        groups : array-like of shape (n_samples,), default=None
            The label of each sample; not where a column of `X` holds them.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the samples, where the scaler takes them.
        mask : array-like of bool, default=None
            True for the elements that count, where the scaler takes it: others (no data, padding, background) are left
            out. Of a shape that broadcasts to that of `X`, less a column of labels.

        Returns
        -------
        self : GroupedScaler
            The fitted scaler.

        Raises
        ------
        TypeError, ValueError
            As `fit` does, and if the channels are others than before. The scaler stays as it was.
        """
        self._fit(*self._read(X, groups, reset="scalers_" not in self.__dict__), sample_weight, mask, exact=False)
        return self

    @all_or_nothing
    def fit_transform(
        self,
        X: ArrayLike,
        y: object = None,
        groups: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        *,
        mask: ArrayLike | None = None,
        mergeable: bool = False,
    ) -> Any:
        """Fit a scaler for each group, and map `X`: labels are looked up once.

        Parameters
        ----------
        X, y, groups, sample_weight, mask, mergeable
            As for `fit`.

        Returns
        -------
        X_tr : ndarray of the shape of `X`, less a column of labels
            As `transform` gives it.

        Raises
        ------
        TypeError, ValueError
            As `fit` does.
        """
        own = (getattr(method, "__func__", None) for method in (self.fit, self.transform))
        if tuple(own) != _OWN:
            more = given_as(groups=groups, sample_weight=sample_weight, mask=mask)
            return self.fit(X, y, **more).transform(X, **given_as(groups=groups))
        self._learned.reset(self)
        array, labels, codes = self._read(X, groups, reset=True)
        rows = self._fit(array, labels, codes, sample_weight, mask, exact=True, mergeable=mergeable)
        return map_groups(X, array, self._chosen(labels), codes, rows, None, None, inverse=False)

    @overload
    def transform(
        self, X: ArrayLike, groups: ArrayLike | None = None, *, copy: bool | None = None, out: Out
    ) -> Out: ...
    @overload
    def transform(
        self, X: NDArray[Any], groups: ArrayLike | None = None, *, copy: bool | None = None, out: None = None
    ) -> NDArray[Any]: ...
    @overload
    def transform(
        self, X: ArrayLike, groups: ArrayLike | None = None, *, copy: bool | None = None, out: None = None
    ) -> Any: ...
    def transform(
        self,
        X: ArrayLike,
        groups: ArrayLike | None = None,
        *,
        copy: bool | None = None,
        out: NDArray[Any] | None = None,
    ) -> Any:
        """Map each sample with the statistics of its group.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or array of any shape with the fitted channels
            The data.
        groups : array-like of shape (n_samples,), default=None
            The label of each sample; not where a column of `X` holds them.
        copy : bool, default=None
            False maps a writeable floating-point `X` in place. None is the scaler's own setting.
        out : ndarray of the shape of `X`, less a column of labels, default=None
            Where to write the result, which is then returned. Of the dtype of the result; `X` itself is allowed.

        Returns
        -------
        X_tr : ndarray of the shape of `X`, less a column of labels
            The result, in the dtype that the scaler gives. A DataFrame if `set_output` says so and `out` is not given.

        Raises
        ------
        NotFittedError
            If the scaler is not fitted.
        TypeError
            If `X` or `out` has a dtype that is not accepted.
        ValueError
            If a group was not fitted (with ``unseen='error'``), labels are missing or too few or many, `X` has other
            channels than were fitted or is refused by the scaler, or `out` does not fit, is read-only or overlaps `X`.
            After an infinity, `out` is unspecified unless it is `X`, which then is unchanged.
        """
        check_is_fitted(self)
        array, labels, codes = self._read(X, groups, reset=False)
        return map_groups(X, array, self._chosen(labels), codes, None, copy, out, inverse=False)

    @overload
    def inverse_transform(
        self, X: ArrayLike, groups: ArrayLike | None = None, *, copy: bool | None = None, out: Out
    ) -> Out: ...
    @overload
    def inverse_transform(
        self, X: NDArray[Any], groups: ArrayLike | None = None, *, copy: bool | None = None, out: None = None
    ) -> NDArray[Any]: ...
    @overload
    def inverse_transform(
        self, X: ArrayLike, groups: ArrayLike | None = None, *, copy: bool | None = None, out: None = None
    ) -> Any: ...
    def inverse_transform(
        self,
        X: ArrayLike,
        groups: ArrayLike | None = None,
        *,
        copy: bool | None = None,
        out: NDArray[Any] | None = None,
    ) -> Any:
        """Undo `transform`, where the scaler can.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or array of any shape with the fitted channels
            Data as `transform` gives it.
        groups : array-like of shape (n_samples,), default=None
            The label of each sample. Needed as well where a column held them, since `transform` takes it off.
        copy : bool, default=None
            False maps a writeable floating-point `X` in place. None is the scaler's own setting.
        out : ndarray of the shape of `X`, default=None
            Where to write the result, which is then returned.

        Returns
        -------
        X_original : ndarray of the shape of `X`
            The result, with the dtype rule of `transform`; without a column of labels.

        Raises
        ------
        AttributeError
            If the scaler has no `inverse_transform`.
        NotFittedError, TypeError, ValueError
            As `transform` does.
        """
        check_is_fitted(self)
        pattern = self._pattern()
        if not hasattr(pattern, "inverse_transform"):
            raise AttributeError(f"{type(pattern).__name__} has no inverse_transform")
        refuse_sparse(X)
        array = _plain(pattern._as_array(X))
        if pattern._is_table(X):
            check_result_columns(self._without_labels(), X)
        self._check_channels(kept_shape(array, pattern))
        labels, codes = encode(groups, len(array))
        return map_groups(X, array, self._chosen(labels), codes, None, copy, out, inverse=True)

    @all_or_nothing
    def merge(self, other: Self) -> Self:
        """Change `self`: join a scaler that was fitted apart, as if its data had been given to this one.

        ``self + other`` makes a new scaler and changes neither.

        Parameters
        ----------
        other : GroupedScaler
            With a scaler of the same class, fitted on the same channels; or not fitted, which changes nothing. It is
            not changed. Groups that only one of both has are taken over; those that both have are merged, where the
            scaler can do that.

        Returns
        -------
        self : GroupedScaler
            This scaler, now fitted on the data of both.

        Raises
        ------
        TypeError
            If `other` is of another class, or has scalers of another class.
        ValueError
            If the channels or their names differ, `unseen` is 'global' here and not there, or scalers of the same group
            cannot be merged. This scaler stays as it was.

        Examples
        --------
        >>> from planish import GroupedScaler, StandardScaler
        >>> monday = GroupedScaler(StandardScaler()).fit([[1.0], [3.0]], groups=["a", "a"])
        >>> tuesday = GroupedScaler(StandardScaler()).fit([[8.0], [5.0]], groups=["a", "b"])
        >>> both = monday.merge(tuesday)
        >>> [both.scalers_[label].mean_.item() for label in both.groups_]
        [4.0, 5.0]
        """
        if not isinstance(other, GroupedScaler):
            raise TypeError(f"other must be a planish.GroupedScaler; got a {type(other).__name__}")
        if "scalers_" not in other.__dict__:
            return self
        fitted = "scalers_" in self.__dict__
        ours, theirs = self._pattern() if fitted else self.scaler, other._pattern()
        if type(ours) is not type(theirs):
            raise TypeError(f"other has scalers of the class {type(theirs).__name__}; here it is {type(ours).__name__}")
        if fitted:
            self._check_channels(other._channels, "other")
            for name in ("_column", "n_features_in_"):
                if getattr(self, name) != getattr(other, name):
                    what = "groups" if name == "_column" else name
                    raise ValueError(f"other has {what}={getattr(other, name)}; here it is {getattr(self, name)}")
            here, there = (getattr(one, "feature_names_in_", None) for one in (self, other))
            if here is not None and there is not None and not np.array_equal(here, there):
                raise ValueError(
                    f"other was fitted on the features {quoted(list(there))}; this one on {quoted(list(here))}"
                )
        if self.unseen == "global" and not hasattr(other, "global_scaler_"):
            raise ValueError("unseen='global' needs the statistics of all samples, which other has not gathered")
        scalers = dict(self.scalers_) if fitted else {}
        for label, scaler in other.scalers_.items():
            scalers[label] = merged(scalers[label], scaler) if label in scalers else twin(scaler)
        overall = None
        if self.unseen == "global":
            overall = other.global_scaler_
            overall = merged(self.global_scaler_, overall) if fitted else twin(overall)
        if not fitted:
            self._column, self._channels = other._column, other._channels
            self._adopt_columns(other)
        self._take_over(scalers, overall)
        return self

    def get_feature_names_out(self, input_features: ArrayLike | None = None) -> NDArray[Any]:
        """Name the columns of the result: those of the input, less that of labels.

        Parameters
        ----------
        input_features : array-like of str, default=None
            Names of the columns of the input, where `fit` saw none; else they must be the same.

        Returns
        -------
        feature_names_out : ndarray of str
            The names.

        Raises
        ------
        NotFittedError
            If the scaler is not fitted.
        ValueError
            If `input_features` are not those of `fit`.
        """
        check_is_fitted(self)
        if "_columns" in self.__dict__:
            names = super().get_feature_names_out(input_features)
        else:
            names = _check_feature_names_in(self, input_features)
        return self._kept_names(names)

    def _kept_names(self, names: NDArray[Any]) -> NDArray[Any]:
        return names if self._column is None else np.delete(names, self._column)

    def _without_labels(self) -> Self:
        """Give one like this to which the column of labels is unknown."""
        if self._column is None:
            return self
        other: Self = twin(self)
        other.n_features_in_ = self.n_features_in_ - 1
        if "feature_names_in_" in self.__dict__:
            other.feature_names_in_ = np.delete(self.feature_names_in_, self._column)
        return other

    # --- in files ----------------------------------------------------------------------------------------------------

    @classmethod
    def _made(cls, parameters: dict[str, Any]) -> Self:
        """Make one of the parameters that a file has, and refuse what they cannot be."""
        grouped = cls(**parameters)
        grouped._validate_params()
        return grouped

    def _known(self) -> dict[str, Any]:
        """Give the attributes that are worth saving; a file has the parameters of the scalers once."""
        ours = type(self.scaler)._given.to_json(self.scaler)
        for scaler in self.__dict__.get("scalers_", {}).values():
            if type(scaler) is not type(self.scaler) or type(scaler)._given.to_json(scaler) != ours:
                raise ValueError("the scalers of its groups have other parameters than its scaler")
        return self.__dict__

    def _take_in(self, known: dict[str, Any]) -> None:
        """Take over what was learnt and saved, where all of it agrees."""
        self.__dict__.update(known)
        self._check_names()
        if "scalers_" not in known:
            return
        column = known["_column"]
        if (column is None) != (self.groups is None):
            raise ValueError(f"column is {shown(column)}, which does not suit groups={shown(self.groups)}")
        columns = known.get("_columns", self.n_features_in_)
        number = columns if isinstance(columns, int) else len(columns)
        if column is not None and column >= number:
            raise ValueError(f"column must be an integer from 0 to {number - 1}; got {column}")
        overall = [known["global_scaler_"]] if "global_scaler_" in known else []
        for scaler in (*known["scalers_"].values(), *overall):
            if scaler._learned and not (scaler._is_fitted() and scaler.n_features_in_ == np.prod(self._channels)):
                raise ValueError(f"a scaler is not fitted on channels of shape {self._channels}")
        self._take_over(known["scalers_"], None)

    # --- reading -----------------------------------------------------------------------------------------------------

    def _read(self, X: Any, groups: Any, *, reset: bool) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        """Give the data as an array, the labels that are there, and the code of each sample's."""
        if reset:
            if not isinstance(self.scaler, ArrayTransformer):
                raise TypeError(
                    f"scaler must be a scaler of planish, such as StandardScaler(); got {shown(self.scaler)}"
                )
            self._validate_params()
        refuse_sparse(X)
        pattern = self.scaler if reset else self._pattern()
        table = X
        column = locate(X, self.groups) if self.groups is not None else None
        if column is not None:
            if groups is not None:
                raise ValueError(f"groups={shown(self.groups)} is a column of X; labels cannot be passed as well")
            X, groups = take_off(X, column)
        array = _plain(pattern._as_array(X))
        if reset:
            self.__dict__.pop("_columns", None)
        if pattern._is_table(table):
            validate_data(self, table, reset=reset, skip_check_array=True)
        elif reset:
            self.__dict__.pop("feature_names_in_", None)
            if array.ndim == 2:
                columns = _get_feature_names(table)
                self._columns = array.shape[1] + (column is not None) if columns is None else columns
        kept = kept_shape(array, pattern)
        if reset:
            warn_of_channels_first(pattern, array)
            self._channels, self._column = kept, column
            if not pattern._is_table(table):
                self.n_features_in_ = int(np.prod(kept, dtype=np.intp))
        elif column != self._column:
            raise ValueError(f"the labels were in column {self._column}; now they are in column {column}")
        else:
            self._check_channels(kept)
        return array, *encode(groups, len(array))

    def _check_channels(self, kept: tuple[int, ...], name: str = "X") -> None:
        if kept != self._channels:
            raise ValueError(f"{name} has channels of shape {kept}; this GroupedScaler was fitted on {self._channels}")

    # --- fitting -----------------------------------------------------------------------------------------------------

    def _fit(
        self,
        array: NDArray[Any],
        labels: NDArray[Any],
        codes: NDArray[Any],
        sample_weight: Any,
        mask: Any,
        *,
        exact: bool,
        mergeable: bool = False,
    ) -> Rows:
        template = self._template()
        if sample_weight is not None:
            if not has_fit_parameter(template, "sample_weight"):
                raise TypeError(f"{type(template).__name__} takes no sample_weight")
            sample_weight = weights_of_samples(sample_weight, array)
        own = None
        if isinstance(array, np.ma.MaskedArray) and template._learned:
            own = None if np.ma.getmask(array) is np.ma.nomask else ~np.ma.getmaskarray(array)
            array = np.asarray(array.data)
        mask = both(own, mask, array.shape)
        if mask is not None:
            if not has_fit_parameter(template, "mask"):
                raise TypeError(f"{type(template).__name__} takes no mask")
            mask = as_mask(mask, array)
        rows = Rows(codes, len(labels), array[0].nbytes)
        known = self.__dict__.get("scalers_", {})
        names = labels.tolist()
        if sample_weight is not None:
            total = np.bincount(codes, sample_weight, len(labels))
            nothing = [name for name, weight in zip(names, total, strict=True) if weight == 0 and name not in known]
            if nothing:
                raise ValueError(
                    f"all weights are zero in the groups {some(nothing)}; a sample of positive weight is needed in each"
                )
        if not template._learned:
            template.fit(array)  # for what it refuses; there is nothing to learn of a group
            fitted = [known.get(label) or twin(template) for label in names]
        else:
            fits = Fits(array, kept_axes(array, template), sample_weight, mask, exact, mergeable)
            fitted = fits.fit([known.get(label, template) for label in names], rows)
        scalers = {**known, **dict(zip(names, fitted, strict=True))}
        overall = None
        if self.unseen == "global":
            overall = twin(self.__dict__.get("global_scaler_", template))
            if known and not overall._is_fitted():
                raise ValueError("unseen='global' needs the statistics of all samples, which were not gathered before")
            joins = fits_itself(template) and not (exact and isinstance(template, RobustScaler))
            # The blocks of all samples are not those of the groups.
            joins = joins and getattr(template, "n_blocks", None) is None
            if not template._learned:
                pass
            elif known or not joins:
                overall = fits.fit([overall], Rows(np.zeros(len(array), np.uint8), 1, array[0].nbytes))[0]
            else:
                overall = fits.join(overall, fitted)
        if exact and getattr(template, "n_blocks", None) is not None:
            for name, scaler in zip(names, fitted, strict=True):
                try:
                    scaler._check_blocks(to_scale=False)
                except ValueError as error:
                    raise ValueError(f"group {some([name])}: {error}") from None
        self._take_over(scalers, overall)
        return rows

    def _template(self) -> Any:
        """Make a scaler that has learnt nothing, and whose parameters have been checked."""
        template = clone(self.scaler)
        template._check_parameters()
        if template._learned:  # else `fit` checks them, by the data
            template._check_domains()
        inner = getattr(self, "feature_names_in_", None)
        if inner is not None:
            template.feature_names_in_ = inner if self._column is None else np.delete(inner, self._column)
        template.n_features_in_ = int(np.prod(self._channels, dtype=np.intp))
        return template

    def _take_over(self, scalers: dict[Any, Any], overall: Any) -> None:
        labels = ascending(scalers)
        self.scalers_ = {label: scalers[label] for label in labels.tolist()}
        self.groups_ = labels
        if overall is not None:
            self.global_scaler_ = overall

    def _pattern(self) -> Any:
        """Give a fitted scaler, for the parameters that all of them share."""
        return next(iter(self.scalers_.values()))

    # --- mapping -----------------------------------------------------------------------------------------------------

    def _chosen(self, groups: NDArray[Any]) -> list[Any]:
        """Find the scaler of each label."""
        labels, known = groups.tolist(), self.scalers_
        if self.unseen == "global":
            if "global_scaler_" not in self.__dict__:
                raise ValueError("unseen='global', but this GroupedScaler was fitted without; fit it again")
            return [known.get(label, self.global_scaler_) for label in labels]
        unseen = [label for label in labels if label not in known]
        if unseen:
            raise ValueError(
                f"X has groups that were not fitted: {some(unseen)}; unseen='global' maps them with the statistics of "
                "all samples"
            )
        return [known[label] for label in labels]

    def __sklearn_is_fitted__(self) -> bool:
        return "scalers_" in self.__dict__

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        inner = get_tags(self.scaler)
        tags.input_tags.allow_nan = inner.input_tags.allow_nan
        tags.transformer_tags.preserves_dtype = inner.transformer_tags.preserves_dtype
        return tags


def _plain(array: Any) -> Any:
    """`array` as one of NumPy's own, or as a masked one."""
    return array if isinstance(array, np.ma.MaskedArray) else np.asarray(array)


#: What `fit_transform` knows to do in one go.
_OWN = (GroupedScaler.fit, GroupedScaler.transform)

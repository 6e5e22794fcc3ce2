"""Bars and features: the OHLCV contract, the 53-feature schema, folds, performance."""

"""Operations and seconds: how much work training is, and how long it takes where a device was measured."""

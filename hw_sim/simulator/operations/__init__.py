"""Operations of the compiled machine, one file a kind of node."""

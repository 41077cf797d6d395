"""One file per data set; every module here is imported on the first look-up.

To add a data set, add a file:

    @DATA.add("myset")
    def myset(root: Path | None, options: Options) -> DataSet:
        \"\"\"My set: what it holds, how it is split and moved.\"\"\"
"""

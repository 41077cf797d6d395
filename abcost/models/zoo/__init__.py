"""One file per family; every module here is imported on the first look-up.

To add a network, add a file:

    @MODELS.add("mynet_18")
    def mynet_18(recipe: Recipe) -> nn.Module:
        \"\"\"MyNet-18: what is special about it.\"\"\"
        return ResNet(recipe, DEPTHS_18, my_block, prelus=False)
"""

"""Vision Transformers: plain, hybrid with a ResNet, with any pooling."""

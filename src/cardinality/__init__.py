"""The cardinality ablations of ResNeXt (Xie et al., CVPR 2017), rebuilt at every scale."""

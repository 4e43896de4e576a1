"""A bare ONNX file becomes a bundle: read the protobuf → copy weights safely → try the graph → derive the
manifest → publish.

`importer` performs the stages in order. The file may come from anywhere: nothing in it is believed until
it was checked or tried.
"""

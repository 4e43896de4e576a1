"""What a manifest's preprocessing and postprocessing blocks mean, executed.

Training and service both call these functions, so a picture or a sentence cannot be read one way when
the model learns and another way when it serves.
"""

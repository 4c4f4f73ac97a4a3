"""Recording of what viewers see: packets that the encoder made of sealed pictures, and nothing else, into files.

    stream -> recorder (one per camera, on the loop) -> disk threads -> disk

`service` owns all of it. Whatever touches the disk runs in threads of its own, because a disk may hang for good.
"""

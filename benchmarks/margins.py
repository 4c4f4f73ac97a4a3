"""How far the 8-bit networks are from the float ones, and what that costs.

    python -m benchmarks.margins ../shared/media/clips [FOLDER ...]

Frames of every clip in the folders, as they are and changed (see `ranges`), go through the float cascade; what each of
its networks looked at is then shown to the 8-bit copy. Printed for each network: the error of scores near a decision,
and how many of the windows that the float network accepts the 8-bit one would have refused for good, that is, by more
than its margin.
"""

from __future__ import annotations

import contextlib
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np

from benchmarks.ranges import Watched, changed, frames
from faceanond.config.model import DetectOptions
from faceanond.detect import mtcnn, proposals
from faceanond.detect.cache import mtcnn_graphs
from faceanond.detect.mtcnn import Mtcnn
from faceanond.detect.mtcnn_networks import byte_networks, float_networks
from faceanond.detect.networks import FloatNetworks, Pixels, logit
from faceanond.detect.protocol import DetectRequest
from faceanond.detect.session import choose_device
from faceanond.errors import DetectionError
from tests.frames_util import raw

THRESHOLDS = dict(zip(("pnet", "rnet", "onet"), map(logit, DetectOptions().network_thresholds), strict=True))
MARGINS = {"pnet": proposals.MARGIN, "rnet": mtcnn.MARGIN, "onet": mtcnn.MARGIN}
NEAR = 2.0


def main() -> None:
    networks = float_networks(mtcnn_graphs(), choose_device("cpu", 1))
    quick = byte_networks()
    if quick is None:
        sys.exit("this machine does not run the compiled kernels")
    seen: dict[str, list[Pixels]] = {"pnet": [], "rnet": [], "onet": []}
    watched = FloatNetworks(**{name: Watched(getattr(networks, name), looks) for name, looks in seen.items()})
    detector = Mtcnn(watched, "cpu")
    errors: dict[tuple[str, str], list[tuple[np.ndarray, np.ndarray]]] = defaultdict(list)
    for index, rgb in enumerate(frames([Path(argument) for argument in sys.argv[1:]])):
        for kind, picture in zip(("as it is", "changed"), changed(rgb, index), strict=True):
            with contextlib.suppress(DetectionError):  # a change may make too much look like a face
                detector.detect([DetectRequest(raw(picture), DetectOptions(min_size=24))])
            for level in seen["pnet"]:
                for one in level:
                    exact = networks.pnet.run(one[None])[0, 0]
                    cells, answers = quick.pnet.propose(np.ascontiguousarray(one), -np.inf, one.size)
                    errors["pnet", kind].append((exact[cells[:, 1], cells[:, 0]], answers[:, 0]))
            for name, classifier in (("rnet", quick.rnet), ("onet", quick.onet)):
                for crops in seen[name]:
                    exact = getattr(networks, name).run(crops)
                    errors[name, kind].append((exact[:, 0], classifier.classify(np.ascontiguousarray(crops))[:, 0]))
            for looks in seen.values():
                looks.clear()
    print("network  pictures   windows  accepted  refused for good  error near: mean    std   lowest of accepted")
    for (name, kind), pairs in sorted(errors.items()):
        exact, ours = (np.concatenate(column) for column in zip(*pairs, strict=True))
        near, accepted = np.abs(exact - THRESHOLDS[name]) < NEAR, exact > THRESHOLDS[name]
        lost = accepted & (ours <= THRESHOLDS[name] - MARGINS[name])
        error = ours - exact
        print(
            f"{name:8} {kind:9} {len(exact):9} {accepted.sum():9} {lost.sum():17} "
            f"{error[near].mean():17.3f} {error[near].std():6.3f} {error[accepted & near].min():20.2f}"
        )


if __name__ == "__main__":
    main()

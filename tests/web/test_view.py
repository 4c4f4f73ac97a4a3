from __future__ import annotations

from faceanond.config.model import WebRtc
from faceanond.publish.webrtc.service import WhepService
from faceanond.web.view import CameraView, Fleet, Health, Whep
from tests.conftest import FakeClock
from tests.web.standin import Camera, Cameras, Pulse


def test_the_real_service_and_the_standins_fit_the_interfaces(clock: FakeClock) -> None:
    """Checked by mypy when it reads this file; at run time it only shows that nothing else is needed to build them."""
    service: Whep = WhepService(lambda *_: None, WebRtc(), clock=clock)
    camera: CameraView = Camera("lobby")
    fleet: Fleet = Cameras(Camera("lobby"))
    health: Health = Pulse()
    assert service is not None
    assert camera.status() == fleet.cameras()[0]
    assert health.alive()[0]

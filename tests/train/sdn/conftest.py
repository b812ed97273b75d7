import pytest
from pumice.train.sdn.dataset import GenerateSettings, generate, load_data


@pytest.fixture(scope="session")
def small_file(tmp_path_factory):
    return generate(tmp_path_factory.mktemp("sdn"), GenerateSettings(samples=40, steps=64, tau=0.125))


@pytest.fixture(scope="session")
def small_data(small_file):
    return load_data(small_file)

"""Only what pyproject.toml cannot say: the C modules, built by cffi."""

from setuptools import setup

setup(cffi_modules=["workers/native/build.py:relay", "workers/native/build.py:media"])

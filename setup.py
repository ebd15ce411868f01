"""Only what pyproject.toml cannot say: the C module, built by cffi."""

from setuptools import setup

setup(cffi_modules=["workers/native/build.py:ffibuilder"])

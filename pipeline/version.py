"""The version of this project, which every module that it makes records."""

VERSION = "0.2.0"

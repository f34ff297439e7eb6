"""A trained model -> graphs that OpenVINO and ONNX Runtime run, without Python where need be."""

from .exporter import ExportSettings, export_model

__all__ = ["ExportSettings", "export_model"]

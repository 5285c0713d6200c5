"""Where networks run: torch devices and onnxruntime sessions."""

"""The commands of `resnet-lstm`, a module each: it reads its arguments, calls the package and prints.

`modeling/resnet_lstm_command.py` names them and runs them.
"""

"""BibTeX of the works a model or a dataset rests on."""

from __future__ import annotations

RESNET = """@inproceedings{he2016deep,
  title = {Deep Residual Learning for Image Recognition},
  author = {He, Kaiming and Zhang, Xiangyu and Ren, Shaoqing and Sun, Jian},
  booktitle = {CVPR},
  year = {2016}
}"""
LSTM = """@article{hochreiter1997long,
  title = {Long Short-Term Memory},
  author = {Hochreiter, Sepp and Schmidhuber, J{\\"u}rgen},
  journal = {Neural Computation},
  volume = {9},
  number = {8},
  pages = {1735--1780},
  year = {1997}
}"""
LRCN = """@inproceedings{donahue2015long,
  title = {Long-term Recurrent Convolutional Networks for Visual Recognition and Description},
  author = {Donahue, Jeff and Hendricks, Lisa Anne and Guadarrama, Sergio and Rohrbach, Marcus and Venugopalan,
            Subhashini and Saenko, Kate and Darrell, Trevor},
  booktitle = {CVPR},
  year = {2015}
}"""
UCF101 = """@techreport{soomro2012ucf101,
  title = {{UCF101}: A Dataset of 101 Human Actions Classes From Videos in The Wild},
  author = {Soomro, Khurram and Zamir, Amir Roshan and Shah, Mubarak},
  institution = {Center for Research in Computer Vision, University of Central Florida},
  number = {CRCV-TR-12-01},
  year = {2012}
}"""


def bibtex(*entries: str) -> str:
    """The section of a card that asks for these works to be cited."""
    return "## Citations\n\n```bibtex\n" + "\n\n".join(entries) + "\n```"

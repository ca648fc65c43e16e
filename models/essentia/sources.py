"""Whence the released Essentia models come: licence, training data, and whom to cite."""

from __future__ import annotations

LICENCE = "CC BY-NC-SA 4.0"

ESSENTIA = """@inproceedings{alonso2020tensorflow,
  author = {Alonso-Jim{\\'e}nez, Pablo and Bogdanov, Dmitry and Pons, Jordi and Serra, Xavier},
  title = {TensorFlow Audio Models in Essentia},
  booktitle = {IEEE International Conference on Acoustics, Speech and Signal Processing (ICASSP)},
  year = {2020}
}"""

VGGISH = """@inproceedings{hershey2017cnn,
  author = {Hershey, Shawn and others},
  title = {CNN Architectures for Large-Scale Audio Classification},
  booktitle = {IEEE International Conference on Acoustics, Speech and Signal Processing (ICASSP)},
  year = {2017}
}"""

EFFNET = """@inproceedings{alonso2022discogs,
  author = {Alonso-Jim{\\'e}nez, Pablo and Serra, Xavier and Bogdanov, Dmitry},
  title = {Music Representation Learning Based on Editorial Metadata from Discogs},
  booktitle = {International Society for Music Information Retrieval Conference (ISMIR)},
  year = {2022}
}"""

HEADS = """@inproceedings{bogdanov2022musav,
  author = {Bogdanov, Dmitry and Lizarraga-Seijas, Xavier and Alonso-Jim{\\'e}nez, Pablo and
            Serra, Xavier},
  title = {MusAV: A dataset of relative arousal-valence annotations for validation of audio models},
  booktitle = {International Society for Music Information Retrieval Conference (ISMIR)},
  year = {2022}
}"""

_EMOMUSIC = """@inproceedings{soleymani2013songs,
  author = {Soleymani, Mohammad and Caro, Micheal N. and Schmidt, Erik M. and Sha, Cheng-Ya and
            Yang, Yi-Hsuan},
  title = {1000 Songs for Emotional Analysis of Music},
  booktitle = {ACM International Workshop on Crowdsourcing for Multimedia (CrowdMM)},
  year = {2013}
}"""

_DEAM = """@article{aljanaki2017deam,
  author = {Aljanaki, Anna and Yang, Yi-Hsuan and Soleymani, Mohammad},
  title = {Developing a benchmark for emotional analysis of music},
  journal = {PLoS ONE},
  volume = {12},
  number = {3},
  year = {2017}
}"""

_MUSE = """@article{akiki2021muse,
  author = {Akiki, Christopher and Burghardt, Manuel},
  title = {MuSe: The Musical Sentiment Dataset},
  journal = {Journal of Open Humanities Data},
  volume = {7},
  year = {2021}
}"""

_OVERLAP = "The 744 songs of emoMusic are part of DEAM: a model that has seen one has seen of both."

RATING_SCALE = (1.0, 9.0)
"""Of all three training sets, and so of what the heads predict."""

HEAD_TRAINING: dict[str, tuple[tuple[str, ...], str, tuple[str, ...]]] = {
    "emomusic": (("emomusic", "deam"), _EMOMUSIC, (_OVERLAP,)),
    "deam": (("deam", "emomusic"), _DEAM, (_OVERLAP,)),
    "muse": (("muse",), _MUSE, ()),
}
"""By the first part of a head's name: ids of datasets seen, BibTeX, notes for the card."""

HEAD_NOTES: dict[str, tuple[str, ...]] = {
    "ea282454d60e29c7165365d5d79646da5084d55f84a11249aeb5f8d192e57534": (
        "deam-msd-musicnn-1: the columns of this graph do not behave as documented. On MusAV's "
        "ground truth (ismir2022, mean embeddings) it agrees with listeners on 78.7 % of pairs in "
        "arousal and 59.8 % in valence as documented, on 85.9 % and 71.4 % with its columns "
        "exchanged (option columns = arousal-valence). DEAM's public annotations have arousal and "
        "valence exchanged for 744 of its 1,802 songs.",
    ),
}
"""By sha256 of a head: what was found out about it."""

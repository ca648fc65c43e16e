"""Licences and training data of well-known encoders' weights, by their name on the hub.

Of anything else the card says that it is not stated: a wrong licence is worse than none.
"""

from __future__ import annotations

from dataclasses import dataclass

_MERT = """@inproceedings{li2024mert,
  author = {Li, Yizhi and Yuan, Ruibin and Zhang, Ge and others},
  title = {{MERT}: Acoustic Music Understanding Model with Large-Scale Self-supervised Training},
  booktitle = {International Conference on Learning Representations (ICLR)},
  year = {2024}
}"""
_MUQ = """@misc{zhu2025muq,
  author = {Zhu, Haina and Zhou, Yizhi and Chen, Hangting and others},
  title = {{MuQ}: Self-Supervised Music Representation Learning with Mel Residual Vector
           Quantization},
  year = {2025},
  eprint = {2501.01108},
  archivePrefix = {arXiv}
}"""
_WAV2VEC2 = """@inproceedings{baevski2020wav2vec2,
  author = {Baevski, Alexei and Zhou, Henry and Mohamed, Abdelrahman and Auli, Michael},
  title = {wav2vec 2.0: A Framework for Self-Supervised Learning of Speech Representations},
  booktitle = {Advances in Neural Information Processing Systems (NeurIPS)},
  year = {2020}
}"""
_HUBERT = """@article{hsu2021hubert,
  author = {Hsu, Wei-Ning and Bolte, Benjamin and Tsai, Yao-Hung Hubert and others},
  title = {{HuBERT}: Self-Supervised Speech Representation Learning by Masked Prediction of Hidden
           Units},
  journal = {IEEE/ACM Transactions on Audio, Speech, and Language Processing},
  year = {2021}
}"""
_WAVLM = """@article{chen2022wavlm,
  author = {Chen, Sanyuan and Wang, Chengyi and Chen, Zhengyang and others},
  title = {{WavLM}: Large-Scale Self-Supervised Pre-Training for Full Stack Speech Processing},
  journal = {IEEE Journal of Selected Topics in Signal Processing},
  year = {2022}
}"""
_WHISPER = """@inproceedings{radford2023whisper,
  author = {Radford, Alec and Kim, Jong Wook and Xu, Tao and others},
  title = {Robust Speech Recognition via Large-Scale Weak Supervision},
  booktitle = {International Conference on Machine Learning (ICML)},
  year = {2023}
}"""
_AST = """@inproceedings{gong2021ast,
  author = {Gong, Yuan and Chung, Yu-An and Glass, James},
  title = {{AST}: Audio Spectrogram Transformer},
  booktitle = {Interspeech},
  year = {2021}
}"""
_DASHENG = """@inproceedings{dinkel2024dasheng,
  author = {Dinkel, Heinrich and Yan, Zhiyong and Wang, Yongqing and others},
  title = {Scaling up masked audio encoder learning for general audio classification},
  booktitle = {Interspeech},
  year = {2024}
}"""
_CLAP = """@inproceedings{wu2023laionclap,
  author = {Wu, Yusong and Chen, Ke and Zhang, Tianyu and others},
  title = {Large-Scale Contrastive Language-Audio Pretraining with Feature Fusion and
           Keyword-to-Caption Augmentation},
  booktitle = {IEEE International Conference on Acoustics, Speech and Signal Processing (ICASSP)},
  year = {2023}
}"""


@dataclass(frozen=True, slots=True)
class Known:
    """What is published about some weights."""

    licence: str
    citation: str
    training_datasets: tuple[str, ...] = ()
    note: str | None = None


_MERT_KNOWN = Known(
    "CC-BY-NC-4.0",
    _MERT,
    note="Trained on music that is not published: contamination cannot be excluded.",
)
_SPEECH = Known("Apache-2.0", _WAV2VEC2, ("librispeech",))
_WHISPER_KNOWN = Known(
    "MIT",
    _WHISPER,
    note="Trained on 680,000 hours or more of the web that are not published: contamination cannot "
    "be excluded.",
)
_AST_KNOWN = Known("BSD-3-Clause", _AST, ("audioset",))
_DASHENG_KNOWN = Known("Apache-2.0", _DASHENG, ("acav100m", "audioset", "vggsound", "mtg-jamendo"))
# From the paper; the audio of MusicCaps is a part of AudioSet.
_CLAP_KNOWN = Known("Apache-2.0", _CLAP, ("laion-audio-630k", "audioset", "audiocaps", "clotho"))
_WHISPERS = ("tiny", "base", "small", "medium", "large", "large-v2", "large-v3", "large-v3-turbo")
KNOWN: dict[str, Known] = {
    "m-a-p/MERT-v1-95M": _MERT_KNOWN,
    "m-a-p/MERT-v1-330M": _MERT_KNOWN,
    "OpenMuQ/MuQ-large-msd-iter": Known("CC-BY-NC-4.0", _MUQ, ("msd",)),
    "facebook/wav2vec2-base": _SPEECH,
    "facebook/wav2vec2-base-960h": _SPEECH,
    "facebook/hubert-base-ls960": Known("Apache-2.0", _HUBERT, ("librispeech",)),
    "microsoft/wavlm-base-plus": Known(
        "not stated on the hub; MIT where torchaudio distributes it",
        _WAVLM,
        ("libri-light", "gigaspeech", "voxpopuli"),
    ),
    "MIT/ast-finetuned-audioset-10-10-0.4593": _AST_KNOWN,
    "mispeech/dasheng-base": _DASHENG_KNOWN,
    "mispeech/dasheng-0.6B": _DASHENG_KNOWN,
    "mispeech/dasheng-1.2B": _DASHENG_KNOWN,
    "laion/clap-htsat-unfused": _CLAP_KNOWN,
    "laion/clap-htsat-fused": _CLAP_KNOWN,
    "laion/larger_clap_general": _CLAP_KNOWN,
    "laion/larger_clap_music_and_speech": _CLAP_KNOWN,
} | {f"openai/whisper-{size}": _WHISPER_KNOWN for size in _WHISPERS}

"""Models by name: see :class:`earmark.datasets.registry.Registry`."""

from __future__ import annotations

from earmark.datasets.registry import Registry

MODELS = Registry(
    "model",
    "earmark.models",
    {
        "essentia-av": "earmark.models.essentia_av:essentia_av",
        "av-head": "earmark.models.av_heads.adapter:av_head",
        "av-ensemble": "earmark.models.av_ensemble:av_ensemble",
        "signal-descriptors": "earmark.models.signal_descriptors:signal_descriptors",
        "essentia-backbone": "earmark.models.essentia_backbones:essentia_backbone",
        "muscall": "earmark.models.joint_muscall:muscall",
        "dcase": "earmark.models.joint_dcase:dcase",
        "clap": "earmark.models.clap:clap",
        "muq-mulan": "earmark.models.muq_mulan:muq_mulan",
        "conse": "earmark.models.conse:conse",
        "locked": "earmark.models.locked:locked",
        "ensemble": "earmark.models.joint_ensemble:ensemble",
        "random": "earmark.models.random_model:random_model",
        "etude-oracle": "earmark.models.etude_oracle:etude_oracle",
        "text-axis": "earmark.models.text_axis_av:text_axis",
        "sentence-bert": "earmark.models.sentence_bert:sentence_bert",
    },
)

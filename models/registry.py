"""Models by name: see :class:`earmark.datasets.registry.Registry`."""

from __future__ import annotations

from earmark.datasets.registry import Registry

MODELS = Registry(
    "model",
    "earmark.models",
    {
        "essentia-av": "earmark.models.essentia.av:essentia_av",
        "av-head": "earmark.models.av_heads.adapter:av_head",
        "av-ensemble": "earmark.models.adapters.ensembles:av_ensemble",
        "signal-descriptors": "earmark.models.essentia.descriptors:signal_descriptors",
        "essentia-backbone": "earmark.models.essentia.backbones:essentia_backbone",
        "musicnn": "earmark.models.musicnn.adapter:musicnn",
        "muscall": "earmark.models.adapters.muscall:muscall",
        "dcase": "earmark.models.adapters.dcase:dcase",
        "transformers-audio": "earmark.models.encoders.transformers_audio:transformers_audio",
        "function": "earmark.models.encoders.function:function",
        "onnx": "earmark.models.encoders.onnx_graph:onnx",
        "ms-clap": "earmark.models.encoders.ms_clap:ms_clap",
        "clap": "earmark.models.adapters.clap:clap",
        "open-clip-clap": "earmark.models.adapters.clap:clap",
        "muq-mulan": "earmark.models.adapters.muq_mulan:muq_mulan",
        "conse": "earmark.models.adapters.conse:conse",
        "own-tags": "earmark.models.adapters.own_tags:own_tags",
        "locked": "earmark.models.adapters.locked:locked",
        "ensemble": "earmark.models.adapters.ensembles:ensemble",
        "kept-embeddings": "earmark.models.adapters.kept_embeddings:kept_embeddings",
        "random": "earmark.models.adapters.references:random_model",
        "etude-oracle": "earmark.models.adapters.references:etude_oracle",
        "text-axis": "earmark.models.adapters.text_axis:text_axis",
        "sentence-bert": "earmark.models.adapters.sentence_bert:sentence_bert",
        "sentence-transformers": "earmark.models.adapters.sentence_bert:sentence_bert",
    },
)

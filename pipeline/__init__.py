"""Publishes JAX vision models as TensorFlow SavedModels: converted, proven, measured, documented and packaged.

What the pipeline does stands on this floor, each module a command, `python -m pipeline.<name>`:

    stages    fetch, convert, validate, member_formats, card, collection, package, publish; the Makefile is their DAG
    for make  stamps, check, published, runner
    commands  select, add, new, classify, evaluate, contact_sheet, imagenette, site, audit, serve, doctor, cli
    commands  keys, verify, notes, reproduce, release, withdraw, plain, formats, summary

What it is made of lies in packages. Imports run one way: a module on this floor may import any package and no other
module of this floor but `version`; a package may import those that its row names. tests/test_layers.py reads this
table.

    package      may import                              owns
    base         -                                       faults, commands, jobs, files, archives, YAML, pages, axes
    facts        base                                    what collection.yaml and report.json say
    model        base                                    architectures, variants, the float64 reference, preprocessing
    images       base, model                             labelled images in any layout, decoding, labels
    download     base                                    one remote file, through the cache
    server       base                                    the hub over HTTP
    checkpoints  base, model, download                   .npz files, digests, the lock file, timm's layout
    saved_model  base, model, download, checkpoints      writing, repairing, opening and reading a SavedModel
    proof        base, facts, model, checkpoints, saved_model  does a SavedModel compute what its checkpoint does?
    accuracy     base, facts, images, model, saved_model  how well does it classify?
    cards        base, facts                             pages, and the rules that they must keep
    hub          base, facts, cards                      the published folder, its index, its website
    targets      base                                    folders and object stores that hubs are released to
    trust        base, facts                             statements, builds, signing keys, the signed metadata of a hub
    releasing    base, cards, facts, hub, targets, trust  a hub to a target: the plan, the order of writes, the pages
    mirrors      base, cards, hub, releasing           a hub on Hugging Face and Kaggle, in their own forms
    verifying    base, download, hub, saved_model, targets, trust  is a hub or a module what its owner published?
    rebuilding   base, model, download, checkpoints, saved_model, trust  making a published module again, comparing both
    translate    base, saved_model                       StableHLO into the operations of TensorFlow and ONNX
    forms        base, saved_model                       what files for other runtimes have in common: quality, runs
    litert       base, saved_model, forms                a plain twin into LiteRT files, what they say, how they run
    onnx_form    base, saved_model, translate, forms     the ONNX files of a module, as transformers.js reads them
    runtimes     base, facts, saved_model, proof, translate, forms, litert, onnx_form  a module's formats, each proven
    pool         base, facts, download                   the AugReg pool: its index, criteria, new members
    prose        base, facts, model, images, accuracy, cards, hub, pool  do the texts of YAML files make good pages?
    cluster      base, saved_model                       stages as tasks of Ray, on this machine or on several
    dag          base, facts, model, images, download, checkpoints, accuracy  what make compares: the parts of stamps

Only convert, validate, evaluate and their packages import TensorFlow or JAX; every other command starts at once.
"""

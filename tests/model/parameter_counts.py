"""How many parameters a variant has, with a head of 1,000 classes at 224 pixels, counted in published checkpoints."""

PARAMETERS = {
    "Ti/16": 5_717_416,
    "S/32": 22_878_952,
    "S/16": 22_050_664,
    "B/32": 88_224_232,
    "B/16": 86_567_656,
    "B/8": 86_576_872,
    "L/16": 304_326_632,
    "R+Ti/16": 6_337_704,
    "R26+S/32": 36_431_912,
    "R50+L/32": 328_994_856,
}

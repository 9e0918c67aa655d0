"""The difference between a plan and a look: what every verb prints or acts on."""

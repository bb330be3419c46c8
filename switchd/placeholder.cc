// placeholder until the first real source of this room lands

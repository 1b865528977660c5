"""A second, slow judge, written from the design's words: plain Python over plain values, contact by contact, by the example file's rules.

It takes as given what pulls and unifying made of the CRMs' records (who is one person, what a field's value is, who owns the contact, which
spells it had): those have tests of their own. From there it concludes by itself:

* touches (ten minutes of one person in one way are one touch) and the counts since the attempt began     `touches`
* criteria, qualified, score with its fading, who is out of scope, what rejection asks                    `example_rules`
* attempts and how they end, rejections and their reasons, evidence and what waits for new evidence       `selling`
* response clocks in business time: due, warned, met, breached, ended, handed over                        `clocks`, `business_time`
* which transition fires, and which warning or breach wants its task                                      `judge`

Not covered: what a plan makes of it (guard rails, assignment, texts), waivers, attempts taken into scope again, `[adopt]`, merges.
"""

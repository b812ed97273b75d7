"""What a Lava bundle runs on Python 3.10 with numpy below 2: node arithmetic by events, and the Lava processes.

Lava executes every module that lies beside a process definition, so each process and its model share one package of
their own. The files are copied into bundles; Pumice itself imports none that needs Lava.
"""

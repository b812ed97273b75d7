"""What a Lava bundle runs on Python 3.10 with numpy below 2: node arithmetic by events, and the Lava processes.

Lava executes every module that lies beside a process definition, so each process and its model share one package of
their own. Nothing here is imported by Pumice itself; the files are copied into bundles.
"""

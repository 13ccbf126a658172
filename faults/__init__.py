"""Fault injection: every long command is killed, starved of disk space and fed damaged files. Is anything lost?"""

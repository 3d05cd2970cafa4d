"""The stage ci runs this."""
import unittest

from greet import greeting


class Greeting(unittest.TestCase):
    def test_names(self):
        self.assertEqual(greeting([]), "hello")
        self.assertEqual(greeting(["docker"]), "hello docker")

"""Attacks on the grader, by kind: what was got through before there was a fence, and more.

Each of `REFUSED` is code that an answer runs. It must raise an error, or find nothing: it assigns
to `got` what it got, which must stay false. `OUT` is a folder of the grader's that can be written,
`SECRET` the secret, `PORT` a port on which the grader listens, and `PID` the grader's process.
"""

REFUSED = {
    # ------------------------------------------------------------ reading what is right
    "read the solutions' file": "got = open(f'{LIBRARY}/course/exercises/robots.py').read()",
    "read the grader's file": "got = open(f'{LIBRARY}/course/grading/grade.py').read()",
    "read compiled solutions": (
        "import glob\ngot = glob.glob(f'{LIBRARY}/course/exercises/__pycache__/*robots*')"
    ),
    "import the solutions": (
        "import importlib\n"
        "robots = importlib.import_module('sorl_edu.course.exercises.robots')\n"
        "got = callable(getattr(robots.promise.solution, '__code__', None))\n"
        "import gc, types\n"
        "got = got or any(isinstance(o, types.FunctionType) and o.__name__ == '_promise'\n"
        "                 for o in gc.get_objects())"
    ),
    "read the assignment's notebook": "got = open(NOTEBOOK).read()",
    "read the repository's history": "import os\ngot = os.listdir(f'{LIBRARY}/../.git')",
    "read the home folder": (
        "import os, sys\n"
        "got = [f for f in os.listdir(HOME) if not sys.base_prefix.startswith(f'{HOME}/{f}')]"
    ),
    "read another student's folder": "import os\ngot = os.listdir(OUT)",
    "read the kernel's memory": "got = open('/proc/kcore', 'rb').read(10)",
    "read the disk": "import os\ngot = os.open('/dev/sda', os.O_RDONLY) or os.open('/dev/vda', 0)",
    # ------------------------------------------------------------ secrets of the grader's process
    "find the secret in an environment": (
        "import glob\n"
        "got = any(SECRET.encode() in open(f, 'rb').read()\n"
        "          for f in glob.glob('/proc/*/environ') + glob.glob('/proc/*/cmdline'))"
    ),
    "find the grader among the processes": "import os\ngot = os.path.exists(f'/proc/{PID}')",
    "find a descriptor of the grader's": (
        "import os\n"
        "files = [f'/proc/self/fd/{fd}' for fd in os.listdir('/proc/self/fd')]\n"
        "links = [os.readlink(file) for file in files if os.path.islink(file)]\n"
        "known = 'pipe:', 'anon_inode:', '/dev/', '/proc/', '/usr', '/tmp', 'mnt:', LIBRARY\n"
        "got = [l for l in links if not l.startswith(known) and 'site-packages' not in l]"
    ),
    # ------------------------------------------------------------ writing
    "write beside the course": "got = open(f'{LIBRARY}/mine.txt', 'w')",
    "overwrite the course": "got = open(f'{LIBRARY}/errors.py', 'a')",
    "delete a file of the course": "import os\nos.remove(f'{LIBRARY}/errors.py')\ngot = True",
    "write among the packages": "import jax\ngot = open(f'{jax.__path__[0]}/mine.txt', 'w')",
    "write in the root folder": "got = open('/mine.txt', 'w')",
    "write by a folder's descriptor": (
        "import os\n"
        "folder = os.open(LIBRARY, os.O_RDONLY)\n"
        "got = os.open('mine.txt', os.O_WRONLY | os.O_CREAT, dir_fd=folder)"
    ),
    "write through a link": (
        "import os\nos.symlink(f'{LIBRARY}/mine.txt', '/tmp/link')\ngot = open('/tmp/link', 'w')"
    ),
    "write with the C library": (
        "import ctypes\n"
        "got = ctypes.CDLL(None).open(f'{LIBRARY}/mine.txt'.encode(), 0o101, 0o644) >= 0"
    ),
    "write from another process": (
        "import subprocess, sys\n"
        "code = f\"open('{LIBRARY}/mine.txt', 'w')\"\n"
        "got = subprocess.run([sys.executable, '-c', code], capture_output=True).returncode == 0"
    ),
    "write a database": (
        "import sqlite3\n"
        "sqlite3.connect(f'{LIBRARY}/mine.txt').execute('create table t (x)')\ngot = True"
    ),
    "make a pipe": "import os\nos.mkfifo(f'{LIBRARY}/mine.txt')\ngot = True",
    "make a device": (
        "import os, stat\n"
        "os.mknod('/tmp/disk', stat.S_IFBLK | 0o600, os.makedev(8, 0))\n"
        "got = os.open('/tmp/disk', os.O_RDONLY)"
    ),
    "write with safetensors": (
        "import numpy, safetensors.numpy as s\n"
        "s.save_file({'x': numpy.ones(1)}, f'{LIBRARY}/mine.txt')\ngot = True"
    ),
    "fill the shared memory": "got = open('/dev/shm/mine', 'w')",
    "fill the disk": (
        "with open('/tmp/much', 'wb') as file:\n"
        "    for _ in range(90):\n        file.write(bytes(2**20))\ngot = True"
    ),
    "change the kernel's settings": "got = open('/proc/sys/kernel/core_pattern', 'w')",
    # ------------------------------------------------------------ leaving the fence
    "connect to the grader's machine": (
        "import socket\ngot = socket.create_connection(('127.0.0.1', PORT), 2)"
    ),
    "connect to the world": "import socket\ngot = socket.create_connection(('8.8.8.8', 53), 2)",
    "connect by a socket's name": (
        "import socket\ns = socket.socket(socket.AF_UNIX)\ns.connect(ABSTRACT)\ngot = s"
    ),
    "kill the grader": "import os\nos.kill(PID, 9)\ngot = True",
    "kill the grader by its descriptor": "import os, signal\ngot = os.pidfd_open(PID)",
    "limit the grader": "import resource\ngot = resource.prlimit(PID, resource.RLIMIT_CPU, (1, 1))",
    "raise its own limits": (
        "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (2**40, 2**40))\ngot = True"
    ),
    "become root": (
        "import os\n"
        "lines = [line.split() for line in open('/proc/self/status')]\n"
        "got = any(int(l[1], 16) for l in lines if l[0] in ('CapEff:', 'CapPrm:', 'CapBnd:'))"
    ),
    "mount": (
        "import ctypes\ngot = ctypes.CDLL(None).mount(b'none', b'/tmp', b'tmpfs', 0, None) == 0"
    ),
    "unmount what hides the solutions": (
        "import ctypes\ngot = ctypes.CDLL(None).umount2(f'{LIBRARY}/course'.encode(), 2) == 0"
    ),
    "make namespaces of its own": (
        "import ctypes\ngot = ctypes.CDLL(None).unshare(0x10000000) == 0"
    ),
    "join namespaces of the system's": (
        "import ctypes, os\n"
        "fd = os.open('/proc/1/ns/mnt', os.O_RDONLY)\n"
        "got = ctypes.CDLL(None).setns(fd, 0) == 0"
    ),
    "change the root folder": "import os\nos.chroot('/tmp')\ngot = True",
    "trace another process": ("import ctypes\ngot = ctypes.CDLL(None).ptrace(16, PID, 0, 0) == 0"),
    "set the clock": "import time\ntime.clock_settime(time.CLOCK_REALTIME, 0)\ngot = True",
    "rename the machine": "import socket\nsocket.sethostname('mine')\ngot = True",
    "type into the terminal": (
        "import fcntl, termios\nfcntl.ioctl(open('/dev/tty'), termios.TIOCSTI, b'x')\ngot = True"
    ),
}

ENDS = {  # code of an answer, and what its feedback says
    "exits": ("import os\nos._exit(0)", "Python ended"),
    "leaves": ("raise SystemExit", "remove exit()"),
    "loops": ("while True:\n    pass", "did not finish"),
    "eats memory": (
        "import numpy\nkept = []\nwhile True:\n    kept.append(numpy.ones(10_000_000))",
        "memory limit",
    ),
    "recurses": ("def again(n):\n    return [again(n), again(n)]\nagain(1)", "RecursionError"),
    "crashes": ("import ctypes\nctypes.string_at(0)", "Python ended"),
    "kills itself": ("import os\nos.kill(os.getpid(), 9)", "Python ended"),
    "closes its pipes": ("import os\nos.closerange(0, 100)\nos._exit(1)", "Python ended"),
    "forks for ever": ("import os\nwhile True:\n    os.fork()", "was stopped"),
    "writes into the pipes": (
        "import os\n"
        "for fd in range(3, 12):\n"
        "    try:\n        os.write(fd, b'\\xff' * 1000)\n"
        "    except OSError:\n        pass",
        "grader's own pipe",
    ),
}

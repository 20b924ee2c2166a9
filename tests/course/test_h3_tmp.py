import time
from pathlib import Path
import test_assignments as T
from sorl_edu.course.grading import sandbox
def test_x(tmp_path):
    a = T.ASSIGNMENTS["A2"]
    t=time.time(); source = T.shorten(a, tmp_path/"root"); answers=T.solutions(source.read_text()); answers["A2.3"]+=T.QUICK
    print("short", time.time()-t); t=time.time()
    import sorl_edu.course.grading.grade as g
    orig=g._score
    def timed(e,*a):
        t=time.time(); r=orig(e,*a); print("score",e.number,time.time()-t); return r
    g._score=timed
    r = T.graded(tmp_path, source, answers)
    print("all", time.time()-t, "worker", r.seconds); print(r.output[-3000:])
